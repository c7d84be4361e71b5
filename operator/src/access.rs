//! What the operator asks of the API server: the chart's roles are made from this list.
//!
//! Owns the list; a call that is not on it is a bug here or there. In each watched namespace, or in all of them:
//!
//! | group | resource | verbs | what for |
//! |---|---|---|---|
//! | `rollcall.dev` | `rollcalls` | list, watch | the resources |
//! | `rollcall.dev` | `rollcalls/status` | patch | their status |
//! | `apps` | `deployments` | get, list, watch, create, patch | the workers; watched, so that a change is seen at once |
//! | `policy` | `poddisruptionbudgets` | get, list, watch, create, patch | what an eviction may take |
//! | (core) | `configmaps` | get, create, patch | the workers' configuration, and `kafka.tls.caRef`; by name, never listed |
//! | (core) | `secrets`, by `resourceNames` | get | those that the chart's `rbac.secrets` names: for the operator's own questions |
//! | `events.k8s.io` | `events` | create, patch | what people should hear of |
//!
//! In the operator's own namespace:
//!
//! | group | resource | verbs | what for |
//! |---|---|---|---|
//! | `coordination.k8s.io` | `leases`, by `resourceNames` | get, update | who leads; the chart brings the Lease, so that it goes with it |
//!
//! In the cluster, and only with `--api-auth TokenReview`:
//!
//! | group | resource | verbs | what for |
//! |---|---|---|---|
//! | `authentication.k8s.io` | `tokenreviews` | create | who asks for insights |
//! | `authorization.k8s.io` | `subjectaccessreviews` | create | whether he may |
//!
//! Where nobody brought the Lease, as without the chart, the operator needs `create` on it, too.
//!
//! Server-side apply is a `patch`, and also needs `create` where the object is not there yet. Deleting is never asked for:
//! owner references do it. Where the plug-in `OwnerReferencesPermissionEnforcement` is on (`OpenShift`), `update` on
//! `rollcalls/finalizers` is needed besides: the owner references block the owner's deletion.
