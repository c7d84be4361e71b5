//! Which librdkafka properties are Rollcall's own, and which may hold a secret.
//!
//! Owns that list: exactly once rests on these values, so a user's override is refused by name instead of being ignored. It
//! never knows the values.

/// Why a property cannot be set in `kafka.properties`, and what to do.
pub(super) fn refusal(name: &str) -> Option<String> {
    if let Some((_, key)) = KEYED.iter().find(|(property, _)| matches(property, name)) {
        return Some(format!("use {key} instead"));
    }
    LOCKED
        .iter()
        .any(|property| matches(property, name))
        .then(|| "Rollcall sets this itself, remove it".to_owned())
}

/// Whether a property's value must not be shown.
pub(super) fn is_secret(name: &str) -> bool {
    ["password", "secret", ".pem", "token"].iter().any(|part| name.contains(part))
}

/// Whether a name is the property's, or begins with it where it ends with `*`.
fn matches(property: &str, name: &str) -> bool {
    property.strip_suffix('*').map_or(property == name, |prefix| name.starts_with(prefix))
}

/// Properties that have keys of their own.
const KEYED: &[(&str, &str)] = &[
    ("bootstrap.servers", "kafka.brokers"),
    ("metadata.broker.list", "kafka.brokers"),
    ("group.id", "kafka.group"),
    ("security.protocol", "kafka.tls and kafka.sasl"),
    ("sasl.mechanism*", "kafka.sasl.mechanism"),
    ("sasl.username", "kafka.sasl.username"),
    ("sasl.password", "kafka.sasl.password"),
    ("sasl.*", "kafka.sasl"),
    ("ssl.ca.location", "kafka.tls.ca"),
    ("ssl.ca.pem", "kafka.tls.ca"),
    ("ssl.certificate.*", "kafka.tls.certificate"),
    ("ssl.endpoint.identification.algorithm", "kafka.tls.hostnameVerification"),
    // Not `ssl.key.password`: it has no key of its own.
    ("ssl.key.location", "kafka.tls.key"),
    ("ssl.key.pem", "kafka.tls.key"),
];

/// Properties that Rollcall sets, with their aliases.
const LOCKED: &[&str] = &[
    // What is read, and from where: the sinks' progress decides, not the client.
    "enable.auto.commit",
    "enable.auto.offset.store",
    "auto.commit.*",
    "auto.offset.reset",
    "offset.store.*",
    "isolation.level",
    "enable.partition.eof",
    // What is written: one transaction with the offsets, in order.
    "enable.idempotence",
    "enable.gapless.guarantee",
    "acks",
    "request.required.acks",
    "transactional.id",
    "transaction.timeout.ms",
    "message.send.max.retries",
    "retries",
    "max.in.flight*",
    "message.timeout.ms",
    "delivery.timeout.ms",
    "delivery.report.only.error",
    // Who reads: cooperative assignment, and deadlines that are shorter one within the other.
    "partition.assignment.strategy",
    "group.protocol",
    "group.protocol.type",
    "group.remote.assignor",
    "group.instance.id",
    "session.timeout.ms",
    "heartbeat.interval.ms",
    "max.poll.interval.ms",
    "socket.timeout.ms",
    "statistics.interval.ms",
    // Pointers into the process.
    "background_event_cb",
    "closesocket_cb",
    "connect_cb",
    "consume_cb",
    "dr_cb",
    "dr_msg_cb",
    "error_cb",
    "interceptors",
    "log_cb",
    "oauthbearer_token_refresh_cb",
    "offset_commit_cb",
    "opaque",
    "rebalance_cb",
    "stats_cb",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_exactly_once_rests_on_is_locked() {
        for name in [
            "enable.auto.commit",
            "auto.commit.interval.ms",
            "acks",
            "isolation.level",
            "max.in.flight.requests.per.connection",
        ] {
            assert_eq!(refusal(name).as_deref(), Some("Rollcall sets this itself, remove it"), "{name}");
        }
    }

    #[test]
    fn what_has_a_key_of_its_own_is_pointed_there() {
        for (name, key) in [
            ("bootstrap.servers", "kafka.brokers"),
            ("sasl.mechanisms", "kafka.sasl.mechanism"),
            ("sasl.kerberos.service.name", "kafka.sasl"),
            ("ssl.certificate.pem", "kafka.tls.certificate"),
        ] {
            assert_eq!(refusal(name), Some(format!("use {key} instead")), "{name}");
        }
    }

    #[test]
    fn everything_else_passes() {
        for name in
            ["client.id", "client.rack", "fetch.min.bytes", "compression.type", "ssl.key.password", "debug"]
        {
            assert_eq!(refusal(name), None, "{name}");
        }
    }
}
