//! Which form a record is delivered in, and what comes next when a topic refuses it for good.
//!
//! Owns the ladder from the output record down to a gap. It never decides what is counted: the log alone does.

use rdkafka::types::RDKafkaErrorCode;

/// The form in which a record is to be delivered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    /// As the pipeline says: an output record, or a dead letter as it came.
    Regular,
    /// As a dead letter.
    DeadLetter(DeadLetterForm),
    /// Not at all.
    Undeliverable,
}

/// What of a dead letter is left out so that the topic takes it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct DeadLetterForm {
    /// The value is left out.
    pub(crate) without_value: bool,
    /// The time now stands for the record's own.
    pub(crate) time_now: bool,
    /// Only our own headers are left.
    pub(crate) bare: bool,
}

/// Whether a topic refused a record for good, and why.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refused {
    /// It is too large.
    Size,
    /// Its timestamp is out of the topic's bounds.
    Timestamp,
    /// The topic does not take its format.
    Format,
}

/// Reads a broker's answer; none: the topic is away (rights, quota, space), not the record at fault.
pub(crate) fn refused(code: RDKafkaErrorCode) -> Option<Refused> {
    match code {
        RDKafkaErrorCode::MessageSizeTooLarge | RDKafkaErrorCode::MessageBatchTooLarge => Some(Refused::Size),
        RDKafkaErrorCode::InvalidTimestamp => Some(Refused::Timestamp),
        RDKafkaErrorCode::InvalidRecord
        | RDKafkaErrorCode::InvalidMessage
        | RDKafkaErrorCode::UnsupportedForMessageFormat => Some(Refused::Format),
        _ => None,
    }
}

/// The next form after `form` was refused. `output`: the refused record went to the output topic.
pub(crate) fn next(form: Form, output: bool, refused: Refused) -> Form {
    let dead_letter = match form {
        Form::Regular if output => return Form::DeadLetter(DeadLetterForm::default()),
        Form::Regular => DeadLetterForm::default(),
        Form::DeadLetter(dead_letter) => dead_letter,
        Form::Undeliverable => return Form::Undeliverable,
    };
    match refused {
        Refused::Size if !dead_letter.without_value => {
            Form::DeadLetter(DeadLetterForm { without_value: true, ..dead_letter })
        }
        Refused::Timestamp if !dead_letter.time_now => {
            Form::DeadLetter(DeadLetterForm { time_now: true, ..dead_letter })
        }
        _ if !dead_letter.bare => Form::DeadLetter(DeadLetterForm { bare: true, ..dead_letter }),
        _ => Form::Undeliverable,
    }
}

/// The reason of a dead letter that is a login which the output topic refused.
pub(crate) const OUTPUT_REFUSED: &str = "output_refused";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_refusal_leads_down_to_a_gap_within_five_steps() {
        for refused in [Refused::Size, Refused::Timestamp, Refused::Format] {
            for output in [true, false] {
                let mut form = Form::Regular;
                let mut steps = 0;
                while form != Form::Undeliverable {
                    form = next(form, output && form == Form::Regular, refused);
                    steps += 1;
                    assert!(steps <= 5, "{refused:?}");
                }
            }
        }
    }

    #[test]
    fn a_refused_output_goes_to_the_dead_letters_as_it_came() {
        let form = next(Form::Regular, true, Refused::Size);
        assert_eq!(form, Form::DeadLetter(DeadLetterForm::default()));
    }

    #[test]
    fn size_costs_the_value_and_time_the_timestamp_and_both_add_up() {
        let without = next(Form::Regular, false, Refused::Size);
        assert_eq!(
            without,
            Form::DeadLetter(DeadLetterForm { without_value: true, ..DeadLetterForm::default() })
        );
        let both = next(without, false, Refused::Timestamp);
        assert_eq!(
            both,
            Form::DeadLetter(DeadLetterForm { without_value: true, time_now: true, bare: false })
        );
    }

    #[test]
    fn missing_rights_are_a_service_that_is_away() {
        assert_eq!(refused(RDKafkaErrorCode::TopicAuthorizationFailed), None);
    }
}
