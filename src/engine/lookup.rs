//! Names that hosts wait for, looked up beside the transfers: no worker waits for one.

use std::convert::Infallible;
use std::sync::Arc;

use tokio::task::JoinSet;

use super::worker::RunContext;
use crate::transfer::Resolver;

/// Answers every name that the queue wants, as long as it is polled. The resolver bounds how many are under way.
pub async fn resolve_hosts(context: &Arc<RunContext>, resolver: &Arc<Resolver>) -> Infallible {
    let mut lookups = JoinSet::new();
    loop {
        tokio::select! {
            Some(_) = lookups.join_next() => {}
            names = context.queue.wait_for_lookups() => {
                for (host, name) in names {
                    let (context, resolver) = (Arc::clone(context), Arc::clone(resolver));
                    lookups.spawn(async move {
                        let found = resolver.find(name).await;
                        if let Some(event) = context.queue.set_addresses(&host, found) {
                            context.emit(event).await;
                        }
                    });
                }
            }
        }
    }
}
