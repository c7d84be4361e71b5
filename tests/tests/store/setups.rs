//! The store against servers that are set up in other ways: rights, memory, replicas, TLS, Sentinel, Cluster.
//!
//! It never changes the machine's own trusted roots.

use std::path::Path;
use std::process::Command;

use super::server::{SENTINEL_SETTINGS, Server, free_port, run, until};
use super::{
    Address, Error, FlushOutcome, Kind, PublicValue, PublishOutcome, Scope, Store, all_time, part,
    publication, step, suite,
};

#[tokio::test]
async fn a_wrong_password_is_a_service_that_is_away_and_is_never_shown() {
    let server = Server::start(&["--requirepass", "right"]);
    let store = Store::redis(server.address_for(None), "p");
    let error = store.tokens(&[0]).await.unwrap_err();
    assert!(matches!(&error, Error::Refused { code, .. } if code == "WRONGPASS"), "{error}");
    assert!(error.is_transient());
    assert!(!format!("{error} {error:?} {:?}", server.address_for(None)).contains("secret-of-user"));
    let error = server.store().tokens(&[0]).await.unwrap_err();
    assert!(matches!(&error, Error::Refused { code, .. } if code == "NOAUTH"), "{error}");
    assert!(error.is_transient());
}

#[tokio::test]
async fn the_least_rights_suffice_for_everything() {
    let server = Server::start(&[]);
    let mut admin = server.admin().await;
    run::<()>(&mut admin, &format!("ACL SETUSER least on >secret-of-user ~rollcall:* {LEAST_RIGHTS}")).await;
    let least = |pipeline: &str| Store::redis(server.address_for(Some("least")), pipeline);
    suite::every_claim(least).await;
    let store = Store::redis(server.address_for(Some("least")), "all");
    store.check_server().await.unwrap();
    run::<()>(&mut admin, "SCRIPT FLUSH").await;
    let mut first = publication(None, "0123456789abcdef");
    first.keys.insert("by:a".to_owned(), PublicValue::SortedSet(vec![("x".to_owned(), 1)]));
    assert_eq!(store.publish(&first).await.unwrap(), PublishOutcome::Applied);
    // The audit's own.
    run::<()>(&mut admin, "ACL SETUSER least +scan").await;
    suite::every_key_is_found_and_none_of_another_pipeline(least).await;
}

#[tokio::test]
async fn a_user_without_one_of_the_rights_writes_nothing() {
    let server = Server::start(&[]);
    let (store, mut admin) = (server.store(), server.admin().await);
    let mut first = step(None, "a");
    first.puts = vec![part("p", b"1")];
    store.flush(&first).await.unwrap();
    let shown = publication(None, "0123456789abcdef");
    store.publish(&shown).await.unwrap();
    let mut second = step(Some("a"), "b");
    second.drops = vec![Scope::AllTime];
    second.puts = vec![part("p", b"2")];
    second.deletes = vec![(Scope::AllTime, "q".to_owned())];
    for right in ["type", "hget", "hset", "hdel", "unlink", "evalsha"] {
        run::<()>(
            &mut admin,
            &format!("ACL SETUSER poor reset on >secret-of-user ~rollcall:* {LEAST_RIGHTS} -{right}"),
        )
        .await;
        let poor = Store::redis(server.address_for(Some("poor")), "p");
        let error = poor.flush(&second).await.unwrap_err();
        assert!(error.is_transient(), "{right}: {error}");
        assert_eq!(all_time(&store, "a").await["p"], b"1", "{right}");
    }
    for right in ["type", "getrange", "zadd", "hset", "hdel", "unlink", "set"] {
        run::<()>(
            &mut admin,
            &format!("ACL SETUSER poor reset on >secret-of-user ~rollcall:* {LEAST_RIGHTS} -{right}"),
        )
        .await;
        let poor = Store::redis(server.address_for(Some("poor")), "p");
        let error = poor.publish(&publication(Some(&shown.document), "1111111111111111")).await.unwrap_err();
        assert!(error.is_transient(), "{right}: {error}");
        assert_eq!(store.published().await.unwrap().as_ref(), Some(&shown.document), "{right}");
    }
}

#[tokio::test]
async fn a_full_server_takes_nothing_and_then_all() {
    let server = Server::start(&[]);
    let (store, mut admin) = (server.store(), server.admin().await);
    store.flush(&step(None, "a")).await.unwrap();
    run::<()>(&mut admin, "CONFIG SET maxmemory 1").await;
    let mut flush = step(Some("a"), "b");
    flush.puts = vec![part("p", b"1")];
    let error = store.flush(&flush).await.unwrap_err();
    assert!(matches!(&error, Error::Refused { code, .. } if code == "OOM"), "{error}");
    assert!(error.is_transient());
    assert_eq!(all_time(&store, "a").await.len(), 0);
    run::<()>(&mut admin, "CONFIG SET maxmemory 0").await;
    assert_eq!(store.flush(&flush).await.unwrap(), FlushOutcome::Applied);
    assert_eq!(store.generation(), 1);
}

#[tokio::test]
async fn a_replica_is_left_for_a_new_connection() {
    let (master, replica) = (Server::start(&[]), Server::start(&[]));
    let (store, mut admin) = (replica.store(), replica.admin().await);
    store.tokens(&[0]).await.unwrap();
    run::<()>(&mut admin, &format!("REPLICAOF 127.0.0.1 {}", master.port)).await;
    let error = store.flush(&step(None, "a")).await.unwrap_err();
    assert!(matches!(&error, Error::Refused { code, .. } if code == "READONLY"), "{error}");
    assert!(error.is_transient());
    run::<()>(&mut admin, "REPLICAOF NO ONE").await;
    assert_eq!(store.flush(&step(None, "a")).await.unwrap(), FlushOutcome::Applied);
    assert_eq!(store.generation(), 2);
}

#[tokio::test]
async fn a_server_that_may_evict_is_refused() {
    let server = Server::start(&[]);
    let (store, mut admin) = (server.store(), server.admin().await);
    for policy in ["noeviction", "volatile-lru", "volatile-ttl"] {
        run::<()>(&mut admin, &format!("CONFIG SET maxmemory-policy {policy}")).await;
        store.check_server().await.unwrap();
    }
    for policy in ["allkeys-lru", "allkeys-lfu", "allkeys-random"] {
        run::<()>(&mut admin, &format!("CONFIG SET maxmemory-policy {policy}")).await;
        let error = store.check_server().await.unwrap_err();
        assert!(matches!(&error, Error::Evicts { policy: named, .. } if named == policy), "{error}");
        assert!(!error.is_transient());
    }
    run::<()>(&mut admin, "ACL SETUSER blind on >secret-of-user ~* +@all -info").await;
    let blind = Store::redis(server.address_for(Some("blind")), "p");
    let error = blind.check_server().await.unwrap_err();
    assert!(error.to_string().contains("INFO"), "{error}");
}

#[tokio::test]
async fn tls_trusts_the_roots_that_it_is_told_and_no_others() {
    let directory = tempfile::tempdir().unwrap();
    make_certificates(directory.path());
    let port = free_port();
    let tls_port = port.to_string();
    let server = Server::start_in(
        directory,
        port,
        &[
            "--tls-port",
            &tls_port,
            "--tls-cert-file",
            "server.crt",
            "--tls-key-file",
            "server.key",
            "--tls-ca-cert-file",
            "ca.crt",
            "--tls-auth-clients",
            "no",
        ],
    );
    // The roots are read from the environment, so a process with another environment looks.
    for (roots, trusted) in [(Some(server.directory.path().join("ca.crt")), true), (None, false)] {
        let mut child = Command::new(std::env::current_exe().unwrap());
        child.args(["--exact", "setups::the_child_of_the_tls_test_connects", "--nocapture"]);
        child.env(CHILD_PORT, &tls_port).env_remove("SSL_CERT_FILE").env_remove("SSL_CERT_DIR");
        if let Some(roots) = roots {
            child.env("SSL_CERT_FILE", roots);
        }
        let output = tokio::task::spawn_blocking(move || child.output()).await.unwrap().unwrap();
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(said.contains("1 passed"), "{said}");
        assert_eq!(said.contains("connected with tls"), trusted, "{said}");
        assert_eq!(said.contains("certificate verify failed"), !trusted, "{said}");
    }
}

/// Does something only in the processes that the test above starts.
#[tokio::test]
async fn the_child_of_the_tls_test_connects() {
    let Ok(port) = std::env::var(CHILD_PORT) else {
        return;
    };
    let hosts = vec![("localhost".to_owned(), port.parse().unwrap())];
    let address = Address { kind: Kind::Single, hosts, tls: true, user: None, password: None, database: 2 };
    match Store::redis(address, "p").flush(&step(None, "a")).await {
        Ok(_outcome) => println!("connected with tls"),
        Err(error) => println!("{error}: {}", std::error::Error::source(&error).unwrap()),
    }
}

#[tokio::test]
async fn the_master_is_followed_through_a_failover() {
    let password = ["--requirepass", "secret-of-user", "--masterauth", "secret-of-user"];
    let mut master = Server::start(&password);
    let store = |sentinel: &Server, name: &str| {
        let kind = Kind::Sentinel { master: name.to_owned() };
        // Nobody listens at the first.
        let hosts = vec![("127.0.0.1".to_owned(), 1), ("127.0.0.1".to_owned(), sentinel.port)];
        Store::redis(Address { kind, hosts, ..master.address_for(None) }, "p")
    };
    let replica_of = ["--replicaof", "127.0.0.1", &master.port.to_string()];
    let replica = Server::start(&[password.as_slice(), replica_of.as_slice()].concat());
    replica.wait_for_log("Finished with success");
    let directory = tempfile::tempdir().unwrap();
    let settings = format!(
        "sentinel monitor m 127.0.0.1 {} 1\nsentinel auth-pass m secret-of-user\nsentinel down-after-milliseconds m 60000\n",
        master.port
    );
    std::fs::write(directory.path().join(SENTINEL_SETTINGS), settings).unwrap();
    let sentinel = Server::start_in(directory, free_port(), &[SENTINEL_SETTINGS, "--sentinel"]);
    sentinel.wait_for_log("+slave slave");

    let error = store(&sentinel, "other").tokens(&[3]).await.unwrap_err();
    assert!(matches!(error, Error::NoMaster { .. }), "{error}");
    let store = store(&sentinel, "m");
    assert_eq!(store.flush(&step(None, "a")).await.unwrap(), FlushOutcome::Applied);
    // Replication lags, and a failover loses what it has not reached.
    let copy = Store::redis(replica.address_for(None), "p");
    until(async || copy.tokens(&[3]).await.unwrap() == [Some("a".to_owned())]).await;
    let mut failover = redis::cmd("SENTINEL");
    failover.arg("FAILOVER").arg("m");
    let admin = sentinel.admin().await;
    // Refused until the sentinel has heard from the replica itself.
    until(async || failover.exec_async(&mut admin.clone()).await.is_ok()).await;
    sentinel.wait_for_log("+switch-master");
    master.kill();
    // Either the old connection is found dead now, or it was closed before.
    let mut outcome = store.tokens(&[3]).await;
    if let Err(error) = &outcome {
        assert!(error.is_transient(), "{error}");
        outcome = store.tokens(&[3]).await;
    }
    assert_eq!(outcome.unwrap(), [Some("a".to_owned())]);
    assert_eq!(store.flush(&step(Some("a"), "b")).await.unwrap(), FlushOutcome::Applied);
    assert_eq!(store.generation(), 2);
}

#[tokio::test]
async fn a_cluster_keeps_every_claim_of_a_store() {
    let server = Server::start(&["--cluster-enabled", "yes", "--cluster-announce-ip", "127.0.0.1"]);
    let mut admin = server.admin().await;
    run::<()>(&mut admin, "CLUSTER ADDSLOTSRANGE 0 16383").await;
    until(async || run::<String>(&mut admin.clone(), "CLUSTER INFO").await.contains("cluster_state:ok"))
        .await;
    let address = || Address { kind: Kind::Cluster, ..server.address() };
    suite::every_claim(|pipeline| Store::redis(address(), pipeline)).await;
    suite::every_key_is_found_and_none_of_another_pipeline(|pipeline| Store::redis(address(), pipeline))
        .await;
    let store = Store::redis(address(), "p");
    store.check_server().await.unwrap();
    run::<()>(&mut admin, "CONFIG SET maxmemory-policy allkeys-lru").await;
    assert!(matches!(store.check_server().await, Err(Error::Evicts { .. })));
    run::<()>(&mut admin, "SCRIPT FLUSH").await;
    assert_eq!(store.flush(&step(None, "a")).await.unwrap(), FlushOutcome::Applied);
}

/// An authority, and a server's certificate for `localhost`.
fn make_certificates(directory: &Path) {
    std::fs::write(directory.join("names"), "subjectAltName=DNS:localhost").unwrap();
    let lines = [
        "req -x509 -newkey rsa:2048 -nodes -keyout ca.key -out ca.crt -days 2 -subj /CN=authority",
        "req -newkey rsa:2048 -nodes -keyout server.key -out server.csr -subj /CN=localhost",
        "x509 -req -in server.csr -CA ca.crt -CAkey ca.key -CAcreateserial -out server.crt -days 2 -extfile names",
    ];
    for line in lines {
        let output = Command::new("openssl").args(line.split(' ')).current_dir(directory).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }
}

const CHILD_PORT: &str = "ROLLCALL_TEST_TLS_PORT";

/// What a user of the store needs to be granted, besides `~rollcall:*`.
const LEAST_RIGHTS: &str =
    "-@all +evalsha +eval +type +get +getrange +set +hget +hgetall +hset +hdel +zadd +unlink +info";
