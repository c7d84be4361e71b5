//! Going through the names of all keys, in small steps and on every master.
//!
//! It may name a key twice, and one that comes or goes meanwhile or not, as the server's own scan does.

use std::collections::BTreeMap;

use ::redis::cluster_async::ClusterConnection;
use ::redis::cluster_routing::{MultipleNodeRoutingInfo, RoutingInfo, SingleNodeRoutingInfo};
use ::redis::{Cmd, ErrorKind, RedisError, RedisResult};

use super::connection::Link;

/// One step: where the next one begins, and names.
type Step = (String, Vec<Vec<u8>>);

/// The names that match a pattern.
pub(super) async fn all(link: Link, pattern: &str) -> RedisResult<Vec<Vec<u8>>> {
    let mut names = Vec::new();
    match link {
        Link::Node(mut node) => {
            let mut cursor = START.to_owned();
            loop {
                let step: Step = command(&cursor, pattern).query_async(&mut node).await?;
                names.extend(step.1);
                cursor = step.0;
                if cursor == START {
                    return Ok(names);
                }
            }
        }
        Link::Cluster(mut cluster) => {
            let masters = RoutingInfo::MultiNode((MultipleNodeRoutingInfo::AllMasters, None));
            let answer = cluster.route_command(command(START, pattern), masters).await?;
            let first: BTreeMap<String, Step> = ::redis::from_redis_value(answer)?;
            for (address, (cursor, found)) in first {
                names.extend(found);
                rest_of(&mut cluster, &address, cursor, pattern, &mut names).await?;
            }
            Ok(names)
        }
    }
}

/// Goes on from a cursor on one master of a cluster.
async fn rest_of(
    cluster: &mut ClusterConnection,
    address: &str,
    mut cursor: String,
    pattern: &str,
    names: &mut Vec<Vec<u8>>,
) -> RedisResult<()> {
    let place = address.rsplit_once(':').and_then(|(host, port)| Some((host, port.parse().ok()?)));
    let (host, port) =
        place.ok_or_else(|| RedisError::from((ErrorKind::UnexpectedReturnType, "no address")))?;
    while cursor != START {
        let node = RoutingInfo::SingleNode(SingleNodeRoutingInfo::ByAddress { host: host.to_owned(), port });
        let answer = cluster.route_command(command(&cursor, pattern), node).await?;
        let step: Step = ::redis::from_redis_value(answer)?;
        names.extend(step.1);
        cursor = step.0;
    }
    Ok(())
}

fn command(cursor: &str, pattern: &str) -> Cmd {
    let mut scan = ::redis::cmd("SCAN");
    scan.arg(cursor).arg("MATCH").arg(pattern).arg("COUNT").arg(KEYS_A_STEP);
    scan
}

/// Where a scan begins, and what it gives when it is through.
const START: &str = "0";

/// About so many keys are looked at before others have their turn.
const KEYS_A_STEP: u32 = 1000;
