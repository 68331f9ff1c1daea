//! Whether a request goes by a proxy. The HTTP library decides that by itself and tells nobody, also not in its
//! errors; so the rules that it goes by are asked here once more.

use http::Uri;
use hyper_util::client::proxy::matcher::Matcher;
use url::Url;

use crate::plan::Proxy;

/// How the connection for a request is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProxyRoute {
    /// To the origin.
    Direct,
    /// To a proxy, which is asked for the rest.
    ByProxy,
}

/// The routes of all requests.
#[derive(Debug)]
pub struct ProxyRoutes(Option<Matcher>);

/// Whether there is anything to ask for each URL.
fn the_system_may_name_one() -> bool {
    let names = ["http_proxy", "https_proxy", "all_proxy"];
    let mut all = names.into_iter().flat_map(|name| [name.to_owned(), name.to_uppercase()]);
    !cfg!(target_os = "linux") || all.any(|name| std::env::var_os(name).is_some())
}

impl ProxyRoutes {
    /// What `proxy` says, and the environment as far as it leaves that to it.
    pub fn new(proxy: &Proxy) -> Self {
        Self(match proxy {
            Proxy::Direct => None,
            Proxy::Environment => the_system_may_name_one().then(Matcher::from_system),
            Proxy::Use(url) => {
                let exceptions = std::env::var("NO_PROXY").or_else(|_| std::env::var("no_proxy"));
                let rules = Matcher::builder().all(url.as_str());
                Some(rules.no(exceptions.unwrap_or_default()).build())
            }
        })
    }

    /// Whether any of them is by a proxy.
    pub fn may_lead_to_a_proxy(&self) -> bool {
        self.0.is_some()
    }

    /// How the connection for `url` is made.
    pub fn route_to(&self, url: &Url) -> ProxyRoute {
        let Some(matcher) = &self.0 else { return ProxyRoute::Direct };
        let uri: Option<Uri> = url.as_str().parse().ok();
        match uri.and_then(|uri| matcher.intercept(&uri)) {
            Some(_) => ProxyRoute::ByProxy,
            None => ProxyRoute::Direct,
        }
    }
}
