//! What the certificates of `--cacert` vouch for, in every mode, and beside what curl decides.

use std::process::Command;

use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, GeneralSubtree, IsCa,
    KeyUsagePurpose, NameConstraints, date_time_ymd,
};

use crate::support::tls::{Identity, Signed, TlsOrigin, whole};
use crate::support::{Run, in_every_mode};

/// A server, and the certificates that the user gives for it.
struct Chain {
    what: &'static str,
    host: String,
    given: String,
    identity: Identity,
    is_trusted: bool,
}

/// Makes the certificates of one chain; no two chains share a name.
struct Maker(String);

impl Maker {
    /// A CA certificate, but for what `change` does to it.
    fn ca(&self, role: &str, change: impl FnOnce(&mut CertificateParams)) -> CertificateParams {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, format!("{role} of {}", self.0));
        change(&mut params);
        params
    }

    /// The certificate of a server, but for what `change` does to it.
    fn leaf(&self, change: impl FnOnce(&mut CertificateParams)) -> CertificateParams {
        let mut params = CertificateParams::new([self.0.clone()]).unwrap();
        params.distinguished_name.push(DnType::CommonName, format!("server {}", self.0));
        change(&mut params);
        params
    }

    /// A root, and a leaf that it has signed.
    fn pair(
        &self,
        root: impl FnOnce(&mut CertificateParams),
        leaf: impl FnOnce(&mut CertificateParams),
    ) -> (String, Identity) {
        let root = Signed::by_itself(self.ca("root", root));
        (root.pem(), root.sign(self.leaf(leaf)).identity(&[]))
    }

    /// A root, one CA certificate in between that is sent along, and a leaf.
    fn three(
        &self,
        root: impl FnOnce(&mut CertificateParams),
        between: impl FnOnce(&mut CertificateParams),
    ) -> (String, Identity) {
        let root = Signed::by_itself(self.ca("root", root));
        let between = root.sign(self.ca("intermediate", between));
        (root.pem(), between.sign(self.leaf(same)).identity(&[&between]))
    }

    /// A leaf that has signed itself and is given.
    fn itself(&self, leaf: impl FnOnce(&mut CertificateParams)) -> (String, Identity) {
        let leaf = Signed::by_itself(self.leaf(leaf));
        (leaf.pem(), leaf.identity(&[]))
    }
}

fn same(_: &mut CertificateParams) {}

fn expired(params: &mut CertificateParams) {
    (params.not_before, params.not_after) =
        (date_time_ymd(2020, 1, 1), date_time_ymd(2020, 12, 31));
}

fn not_yet_valid(params: &mut CertificateParams) {
    params.not_before = date_time_ymd(2990, 1, 1);
}

/// A last day that stands for none (RFC 5280 section 4.1.2.5).
fn never_expires(params: &mut CertificateParams) {
    params.not_after = date_time_ymd(9999, 12, 31);
}

fn a_ca(params: &mut CertificateParams) {
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
}

fn no_ca(params: &mut CertificateParams) {
    params.is_ca = IsCa::ExplicitNoCa;
}

fn last_ca(params: &mut CertificateParams) {
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
}

fn for_clients(params: &mut CertificateParams) {
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
}

fn signs_only(params: &mut CertificateParams) {
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
}

fn signs_nothing(params: &mut CertificateParams) {
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
}

fn other_name(params: &mut CertificateParams) {
    params.subject_alt_names =
        CertificateParams::new(["other.test".into()]).unwrap().subject_alt_names;
}

fn subtrees(permitted: &[&str], excluded: &[&str]) -> impl FnOnce(&mut CertificateParams) {
    let trees = |names: &[&str]| -> Vec<_> {
        names.iter().map(|name| GeneralSubtree::DnsName((*name).to_owned())).collect()
    };
    let constraints = NameConstraints {
        permitted_subtrees: trees(permitted),
        excluded_subtrees: trees(excluded),
    };
    |params| params.name_constraints = Some(constraints)
}

type Make = fn(&Maker) -> (String, Identity);

/// What it is, whether it is to be trusted, and how it is made.
const CHAINS: &[(&str, bool, Make)] = &[
    ("a root that is given", true, |make| make.pair(same, same)),
    ("an intermediate that is sent along", true, |make| make.three(same, same)),
    ("an intermediate that is not sent along", false, |make| {
        let root = Signed::by_itself(make.ca("root", same));
        let between = root.sign(make.ca("intermediate", same));
        (root.pem(), between.sign(make.leaf(same)).identity(&[]))
    }),
    ("an intermediate that is given, and its root not", true, |make| {
        let root = Signed::by_itself(make.ca("root", same));
        let between = root.sign(make.ca("intermediate", same));
        (between.pem(), between.sign(make.leaf(same)).identity(&[]))
    }),
    ("itself, with CA:TRUE", true, |make| make.itself(a_ca)),
    ("itself, and never expires", true, |make| make.itself(never_expires)),
    ("itself, with CA:FALSE", true, |make| make.itself(no_ca)),
    ("itself, without basic constraints", true, |make| make.itself(same)),
    ("itself, without a name but its common name", true, |make| {
        make.itself(|params| {
            params.subject_alt_names.clear();
            params.distinguished_name.push(DnType::CommonName, &make.0);
        })
    }),
    ("itself, for another name", false, |make| make.itself(other_name)),
    ("itself, with CA:TRUE and for another name", false, |make| {
        make.itself(|params| {
            a_ca(params);
            other_name(params);
        })
    }),
    ("itself, expired", false, |make| make.itself(expired)),
    ("itself, not yet valid", false, |make| make.itself(not_yet_valid)),
    ("itself, for clients only", false, |make| make.itself(for_clients)),
    ("itself, whose key may only sign certificates", false, |make| make.itself(signs_only)),
    ("itself, not given", false, |make| {
        (make.itself(a_ca).0, Signed::by_itself(make.leaf(a_ca)).identity(&[]))
    }),
    ("a leaf that is given, and its root not", true, |make| {
        let leaf = Signed::by_itself(make.ca("root", same)).sign(make.leaf(same));
        (leaf.pem(), leaf.identity(&[]))
    }),
    ("a leaf that is given and vouches for another one", false, |make| {
        let first = Signed::by_itself(make.leaf(no_ca));
        let second = first.sign(make.leaf(|params| {
            params.distinguished_name.push(DnType::CommonName, format!("second {}", make.0));
        }));
        (first.pem(), second.identity(&[]))
    }),
    ("a root without basic constraints", false, |make| {
        make.pair(|params| params.is_ca = IsCa::NoCa, same)
    }),
    ("a root with CA:FALSE", false, |make| make.pair(no_ca, same)),
    ("a root that never expires", true, |make| make.pair(never_expires, same)),
    ("an expired root", false, |make| make.pair(expired, same)),
    ("a root that is not yet valid", false, |make| make.pair(not_yet_valid, same)),
    ("a root whose key may not sign", false, |make| make.pair(signs_nothing, same)),
    ("a root for clients", false, |make| make.pair(for_clients, same)),
    ("a root of the same name with another key", false, |make| {
        (make.pair(same, same).0, make.pair(same, same).1)
    }),
    ("an expired leaf", false, |make| make.pair(same, expired)),
    ("a leaf for clients", false, |make| make.pair(same, for_clients)),
    ("a leaf for another name", false, |make| make.pair(same, other_name)),
    ("a path length of 0 and a leaf", true, |make| make.pair(last_ca, same)),
    ("a path length of 0 and an intermediate", false, |make| make.three(last_ca, same)),
    ("an intermediate with CA:FALSE", false, |make| make.three(same, no_ca)),
    ("an expired intermediate", false, |make| make.three(same, expired)),
    ("a root for names like this", true, |make| make.pair(subtrees(&["test"], &[]), same)),
    ("a root for other names", false, |make| make.pair(subtrees(&["example"], &[]), same)),
    ("a root not for names like this", false, |make| make.pair(subtrees(&[], &["test"]), same)),
    ("an intermediate for other names", false, |make| {
        make.three(same, subtrees(&["example"], &[]))
    }),
];

fn chains() -> Vec<Chain> {
    let chain = |(number, (what, is_trusted, make)): (usize, &(&'static str, bool, Make))| {
        let host = format!("c{number}.test");
        let (given, identity) = make(&Maker(host.clone()));
        Chain { what, host, given, identity, is_trusted: *is_trusted }
    };
    CHAINS.iter().enumerate().map(chain).collect()
}

#[test]
fn a_given_certificate_vouches_for_others_as_a_ca_and_otherwise_for_itself() {
    let chains = chains();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("given.pem");
    std::fs::write(&file, chains.iter().map(|chain| &*chain.given).collect::<String>()).unwrap();
    let list: String = chains.iter().map(|chain| format!("https://{}/\n", chain.host)).collect();
    in_every_mode(|mode| {
        let origins: Vec<_> = chains
            .iter()
            .map(|chain| TlsOrigin::new(&chain.identity, |_| whole("hello")))
            .collect();
        let there =
            origins.iter().zip(&chains).flat_map(|(origin, chain)| origin.stands_for(&chain.host));
        let run = Run::json(mode).arg("--cacert").arg(&file).args(there).arg("-");
        let seen = run.list(&list).seen();
        for (row, chain) in seen.rows_in_list_order().iter().zip(&chains) {
            let expected = if chain.is_trusted { "ok" } else { "failed" };
            assert_eq!(row["outcome"], expected, "{}: {row}", chain.what);
            if !chain.is_trusted {
                let error = &row["error"];
                assert_eq!(
                    (&error["class"], &row["attempts"]),
                    (&"tls".into(), &1.into()),
                    "{row}"
                );
                let message = error["message"].as_str().unwrap();
                let is_plain = !message.contains(['{', '[']) && !message.contains("Error");
                assert!(is_plain && message.contains("certificate"), "{}: {message}", chain.what);
            }
        }
        assert_eq!(seen.rows().len(), chains.len());
    });
}

#[test]
#[ignore = "needs curl"]
fn curl_decides_the_same_of_each_chain() {
    let folder = tempfile::tempdir().unwrap();
    for chain in chains() {
        let file = folder.path().join(format!("{}.pem", chain.host));
        std::fs::write(&file, &chain.given).unwrap();
        let origin = TlsOrigin::new(&chain.identity, |_| whole("hello"));
        let url = format!("https://{}/", chain.host);
        let curl = Command::new("curl")
            .args(["-q", "-sS", "--noproxy", "*", "--max-time", "600", "--cacert"])
            .arg(&file)
            .args(origin.stands_for(&chain.host))
            .arg(&url)
            .output()
            .unwrap();
        assert_eq!(curl.status.success(), chain.is_trusted, "{}: {curl:?}", chain.what);
        let run = Run::json("sequential").arg("--cacert").arg(&file);
        let seen = run.args(origin.stands_for(&chain.host)).arg(&url).seen();
        assert_eq!(seen.code == Some(0), chain.is_trusted, "{}: {seen:?}", chain.what);
    }
}
