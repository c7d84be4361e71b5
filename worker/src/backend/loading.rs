//! One attempt to load a partition: the decision where it starts, its specifications and its state.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use insights::spec::StartFrom;
use insights::state::{PartitionState, Scope, Wanted, WantedParts, scopes_of};
use insights::store::{Flush, FlushOutcome, Loaded, StoredHead, Token};

use super::head::{read_head, read_history};
use super::load::Error;
use super::{Context, output_tail};
use crate::protocol::progress::{Delivery, Gap, Head, History, KafkaProgress, RevisionStart, Tails, add_gap};
use crate::protocol::start::{self, Committed, Log, Plan};
use crate::pump::Beginning;
use crate::pump::run::{HISTORY, MANIFEST, Run};
use crate::revision::{self, Timeline};

/// What was read of a partition.
struct Loading<'a> {
    context: &'a Arc<Context>,
    partition: i32,
    committed: &'a Committed,
    log: &'a Log,
    stored: Option<StoredHead>,
    head: Option<Head>,
    history: Option<History>,
}

/// Reads what Redis holds of a partition and makes it ready to be worked on.
pub(super) async fn load_partition(
    context: &Arc<Context>,
    partition: i32,
    committed: &Committed,
    log: &Log,
) -> Result<Run, Error> {
    let heads = context.store.heads(&[partition]).await.map_err(|error| Error::Again(error.into()))?;
    let stored = heads.into_iter().next().flatten();
    let head = stored.as_ref().map(read_head).transpose().map_err(Error::Unusable)?.flatten();
    let history = stored.as_ref().and_then(read_history);
    if stored.is_some() && (head.is_none() || history.is_none()) {
        tracing::warn!(partition, "what Redis holds of a partition is damaged: what is missing is made anew");
    }
    let mut loading = Loading { context, partition, committed, log, stored, head, history };
    let mut plan = loading.plan().await?;
    let of_another = loading.head.as_ref().is_some_and(|head| head.incarnation != plan.incarnation);
    if of_another {
        (loading.head, loading.history) = (None, None);
    }
    let mut timeline = loading.timeline(&plan)?;
    let mut state = if plan.keep_state { loading.restore(&timeline).await? } else { None };
    if plan.keep_state && state.is_none() {
        tracing::warn!(partition, "the stored state is damaged: it is counted again from its base");
        plan = Plan { keep_state: false, state_next: plan.base.max(log.start), state_last: None, ..plan };
        timeline = loading.timeline(&plan)?;
    }
    let mut state = state.take().unwrap_or_else(|| PartitionState::new(Arc::clone(&timeline.current.layout)));
    let mut taken =
        Taken { token: loading.stored.as_ref().map(|stored| stored.token.clone()), ..Taken::default() };
    taken.has_history = loading.history.as_ref() == Some(&timeline.history);
    if timeline.takeover {
        loading.take_over_or_wait(&plan, &mut timeline, &mut state, &mut taken).await?;
    }
    let tails = loading.delivered(&plan).await?;
    let (gaps, delivery) = (loading.gaps(&plan), loading.delivery(&plan));
    Ok(Run::new(Beginning {
        partition,
        read_from: plan.read_from(log.start),
        topic_id: log.topic_id.clone(),
        timeline,
        state,
        token: taken.token,
        replaced: loading.replaced(&plan),
        head: loading.head.filter(|_| plan.keep_state),
        plan,
        tails,
        delivery,
        gaps,
        has_history: taken.has_history,
        hold_at: if context.until_end { log.end } else { i64::MAX },
        level_at: taken.level_at,
        now: Instant::now(),
    }))
}

/// Where this worker's own revision stands.
#[derive(Default)]
struct Taken {
    token: Option<Token>,
    has_history: bool,
    level_at: Option<i64>,
}

impl Loading<'_> {
    /// A higher revision takes over at once where both sinks are level; otherwise once they are.
    async fn take_over_or_wait(
        &self,
        plan: &Plan,
        timeline: &mut Timeline,
        state: &mut PartitionState,
        taken: &mut Taken,
    ) -> Result<(), Error> {
        match &taken.token {
            Some(expected) if plan.keep_state && plan.kafka_next == plan.state_next => {
                taken.token = Some(self.take_over(expected, plan, timeline).await?);
                state.adopt(Arc::clone(&timeline.current.layout));
                taken.has_history = true;
            }
            _ => taken.level_at = Some(plan.kafka_next.max(plan.state_next)),
        }
        Ok(())
    }

    async fn plan(&self) -> Result<Plan, Error> {
        let first = &self.context.first_start;
        let latest = self.context.spec.source.start_from == StartFrom::Latest;
        let decided =
            start::decide(self.partition, self.committed, self.head.as_ref(), self.log, first, latest);
        let mut plan = decided.map_err(Error::Halt)?;
        if plan.look_into_output {
            let (partition, mirrored) = (self.partition, plan.kafka_next);
            plan.kafka_next = self.tails(&plan).await?.furthest();
            let next = plan.kafka_next;
            tracing::info!(
                partition,
                mirrored,
                next,
                "the group's offsets are gone: going on from the output's tail"
            );
        }
        Ok(plan)
    }

    /// What is delivered already of what the plan would deliver.
    async fn delivered(&self, plan: &Plan) -> Result<Tails, Error> {
        match self.committed {
            Committed::Ours(KafkaProgress { metadata, .. })
                if metadata.partly_delivered && metadata.incarnation == plan.incarnation =>
            {
                let (partition, from, tails) = (self.partition, plan.kafka_next, self.tails(plan).await?);
                tracing::warn!(
                    partition,
                    from,
                    output = tails.output,
                    dead_letters = tails.dead_letters,
                    "a transaction was left open: each topic gets what it lacks"
                );
                Ok(tails)
            }
            _ => Ok(Tails::default()),
        }
    }

    async fn tails(&self, plan: &Plan) -> Result<Tails, Error> {
        output_tail::tails_of(self.context, self.partition, plan).await.map_err(Error::Halt)
    }

    fn timeline(&self, plan: &Plan) -> Result<Timeline, Error> {
        let committed: &[RevisionStart] = match self.committed {
            Committed::Ours(progress) if progress.metadata.incarnation == plan.incarnation => {
                &progress.metadata.revisions
            }
            _ => &[],
        };
        let own = &self.context.spec;
        revision::timeline(own, self.history.as_ref(), committed, plan.base, plan.state_next)
            .map_err(Error::Configuration)
    }

    /// Reads the state; none when it is damaged and must be counted again.
    async fn restore(&self, timeline: &Timeline) -> Result<Option<PartitionState>, Error> {
        let Some(stored) = &self.stored else {
            return Ok(None);
        };
        let manifest = stored.fields.get(MANIFEST).map_or(&[][..], Vec::as_slice);
        let wanted = [Wanted { scope: Scope::AllTime, parts: WantedParts::All }];
        let loaded = self.context.store.load(self.partition, &stored.token, &wanted).await;
        let parts = match loaded.map_err(|error| Error::Again(error.into()))? {
            Loaded::Parts(mut scopes) => scopes.remove(&Scope::AllTime).unwrap_or_default(),
            Loaded::Moved(_) => return Err(Error::Again(anyhow::anyhow!(ANOTHER))),
        };
        match PartitionState::restore(Arc::clone(&timeline.current.layout), manifest, &parts) {
            Ok(state) => Ok(Some(state)),
            Err(error) => {
                tracing::warn!(partition = self.partition, %error, "failed to read the stored state");
                Ok(None)
            }
        }
    }

    /// Notes this worker's revision in Redis, in one compare-and-set, before anything is counted or delivered under it.
    async fn take_over(
        &self,
        expected: &Token,
        plan: &Plan,
        timeline: &mut Timeline,
    ) -> Result<Token, Error> {
        let (partition, first_offset) = (self.partition, plan.state_next);
        revision::take_over(&self.context.spec, timeline, first_offset).map_err(Error::Configuration)?;
        let token = format!("{}|{first_offset}|{:016x}", plan.incarnation, rand::random::<u64>());
        let history = serde_json::to_vec(&timeline.history).expect("plain data is JSON");
        let flush = Flush {
            partition,
            expected: Some(expected.clone()),
            token: token.clone(),
            head: BTreeMap::from([(HISTORY.to_owned(), history)]),
            ..Flush::default()
        };
        match self.context.store.flush(&flush).await {
            Ok(FlushOutcome::Applied) => {
                let revision = self.context.spec.revision;
                tracing::info!(partition, revision, first_offset, "revision takes effect");
                Ok(token)
            }
            Ok(FlushOutcome::Conflict(_)) => Err(Error::Again(anyhow::anyhow!(ANOTHER))),
            Err(error) => Err(Error::Again(error.into())),
        }
    }

    fn gaps(&self, plan: &Plan) -> Vec<Gap> {
        let mut gaps = self.head.as_ref().map_or_else(Vec::new, |head| head.gaps.clone());
        if let Some(gap) = &plan.gap {
            tracing::error!(
                partition = self.partition,
                from = gap.from,
                to = gap.to,
                "records were lost to retention before they were read"
            );
            add_gap(&mut gaps, gap.clone());
        }
        gaps
    }

    fn delivery(&self, plan: &Plan) -> Delivery {
        match self.committed {
            Committed::Ours(progress) if progress.metadata.incarnation == plan.incarnation => {
                progress.metadata.delivery
            }
            _ => self.head.as_ref().map(|head| head.delivery).unwrap_or_default(),
        }
    }

    /// Scopes of a stored state that is given up.
    fn replaced(&self, plan: &Plan) -> Vec<Scope> {
        match self.stored.as_ref().and_then(|stored| stored.fields.get(MANIFEST)) {
            Some(manifest) if !plan.keep_state => scopes_of(manifest),
            _ => Vec::new(),
        }
    }
}

const ANOTHER: &str = "another worker changed the state";
