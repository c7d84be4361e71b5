//! What a call of librdkafka can end in, and what must follow.

use std::ffi::CStr;

use rdkafka::bindings as sys;
use rdkafka::types::{RDKafkaErrorCode, RDKafkaRespErr};

/// What must follow an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The same call may be made again.
    Retriable,
    /// The transaction must be aborted; the producer lives on.
    Abort,
    /// The group moved on: the transaction must be aborted, and its partitions may be another's.
    Fenced,
    /// Another producer took this transactional id.
    ProducerFenced,
    /// The client instance is of no more use.
    Fatal,
    /// Anything else: the transaction, if any, is in doubt.
    Other,
}

/// An error that librdkafka reported.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{operation}: {message} ({code:?})")]
pub struct Error {
    /// What was tried.
    pub operation: &'static str,
    /// librdkafka's or the broker's code.
    pub code: RDKafkaErrorCode,
    /// librdkafka's own words.
    pub message: String,
    /// What must follow.
    pub kind: Kind,
}

impl Error {
    /// An error known by its code alone.
    pub fn of_code(operation: &'static str, code: RDKafkaRespErr) -> Self {
        let code = RDKafkaErrorCode::from(code);
        Self { operation, code, message: code.to_string(), kind: kind_of(code).unwrap_or(Kind::Other) }
    }

    /// An error of Rollcall's own making, in the words of librdkafka's code.
    pub fn local(operation: &'static str, code: RDKafkaErrorCode, message: impl Into<String>) -> Self {
        Self { operation, code, message: message.into(), kind: kind_of(code).unwrap_or(Kind::Other) }
    }

    /// `Ok` when the code says that all is well.
    pub(super) fn check_code(operation: &'static str, code: RDKafkaRespErr) -> Result<(), Self> {
        if code == RDKafkaRespErr::RD_KAFKA_RESP_ERR_NO_ERROR {
            Ok(())
        } else {
            Err(Self::of_code(operation, code))
        }
    }

    /// Takes an error object over; `Ok` when there is none.
    pub(super) fn check(operation: &'static str, error: *mut sys::rd_kafka_error_t) -> Result<(), Self> {
        if error.is_null() {
            return Ok(());
        }
        // SAFETY: librdkafka handed this object over to us; it is read, then destroyed once.
        let (code, message, retriable, abort, fatal) = unsafe {
            let read = (
                RDKafkaErrorCode::from(sys::rd_kafka_error_code(error)),
                CStr::from_ptr(sys::rd_kafka_error_string(error)).to_string_lossy().into_owned(),
                sys::rd_kafka_error_is_retriable(error) != 0,
                sys::rd_kafka_error_txn_requires_abort(error) != 0,
                sys::rd_kafka_error_is_fatal(error) != 0,
            );
            sys::rd_kafka_error_destroy(error);
            read
        };
        let kind = kind_of(code).unwrap_or(match (fatal, abort, retriable) {
            (true, _, _) => Kind::Fatal,
            (_, true, _) => Kind::Abort,
            (_, _, true) => Kind::Retriable,
            _ => Kind::Other,
        });
        Err(Self { operation, code, message, kind })
    }

    /// Whether the request may have been carried out although no answer came.
    pub fn is_in_doubt(&self) -> bool {
        use RDKafkaErrorCode as Code;
        matches!(
            self.code,
            Code::OperationTimedOut
                | Code::MessageTimedOut
                | Code::RequestTimedOut
                | Code::BrokerTransportFailure
                | Code::AllBrokersDown
                | Code::NetworkException
        ) || self.kind == Kind::Other
    }
}

/// What the code alone says.
fn kind_of(code: RDKafkaErrorCode) -> Option<Kind> {
    use RDKafkaErrorCode as Code;
    match code {
        Code::IllegalGeneration
        | Code::UnknownMemberId
        | Code::RebalanceInProgress
        | Code::FencedInstanceId => Some(Kind::Fenced),
        Code::Fenced | Code::ProducerFenced | Code::InvalidProducerEpoch => Some(Kind::ProducerFenced),
        _ => None,
    }
}
