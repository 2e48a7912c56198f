//! What went wrong, and what to do about it. Pure.

use std::sync::LazyLock;

use kube::core::Status;
use regex::Regex;

use super::transfer::TransferError;
use crate::chain::Chain;

/// Why a command did not do what was asked. Its text is for people.
#[derive(Debug, thiserror::Error)]
pub(super) enum Error {
    /// The command was called in a way that means nothing. Exit code 2.
    #[error("{0}")]
    Usage(String),
    /// It was refused, or failed. Exit code 1.
    #[error("{0}")]
    Refused(String),
    /// The API server said no, or nothing.
    #[error("cannot {doing}: {}", explain(.source))]
    Kube {
        /// What was tried.
        doing: String,
        /// What came of it.
        source: Box<kube::Error>,
    },
    /// Files did not travel.
    #[error("{}", Chain(.0))]
    Transfer(#[from] TransferError),
}

impl Error {
    /// Says what was tried.
    pub fn kube(doing: impl Into<String>) -> impl FnOnce(kube::Error) -> Self {
        let doing = doing.into();
        move |source| Self::Kube {
            doing,
            source: Box::new(source),
        }
    }

    /// The process's exit code.
    pub const fn code(&self) -> u8 {
        match self {
            Self::Usage(_) => 2,
            Self::Refused(_) | Self::Kube { .. } | Self::Transfer(_) => 1,
        }
    }

    /// Whether the API server knows no such thing.
    pub fn is_not_found(&self) -> bool {
        matches!(self, Self::Kube { source, .. } if matches!(&**source, kube::Error::Api(status) if status.code == 404))
    }
}

static DENIED: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(
        r#"User "([^"]*)" cannot (\S+) resource "([^"]*)" in API group "([^"]*)"(?: in the namespace "([^"]*)"| at the cluster scope)?"#,
    )
    .expect("a constant pattern that a test compiles")
});

/// What an answer of the API server means, and what helps.
pub(super) fn explain(error: &kube::Error) -> String {
    match error {
        kube::Error::Api(status) => refusal(status),
        kube::Error::Auth(_) => format!("{}: log in to the cluster again", Chain(error)),
        other => format!(
            "the API server does not answer ({}): is the cluster up, and the context right?",
            Chain(other)
        ),
    }
}

fn refusal(status: &Status) -> String {
    let message = status.message.trim();
    if let Some((_, sentence)) = message.split_once("denied request: ") {
        return format!("refused: {sentence}");
    }
    if let Some(missing) = DENIED.captures(message) {
        return missing_right(&missing);
    }
    if message.contains("exceeded quota") {
        return format!("{message}: raise the quota, or free some of it (kubectl describe resourcequota)");
    }
    if message.contains("violates PodSecurity") {
        return format!("the namespace's pod security refuses the pod: {message}");
    }
    match status.code {
        401 => "the API server does not know you: log in to the cluster again".into(),
        404 if !message.contains("\" not found") => {
            "the cluster does not know Crmferry's resources: install the chart, or apply crds/".into()
        }
        _ if message.is_empty() => format!("the API server answered {}", status.code),
        _ => message.to_owned(),
    }
}

/// The right that is missing, as a rule of a Role has it.
fn missing_right(denied: &regex::Captures<'_>) -> String {
    let (user, verb, resource, group) = (&denied[1], &denied[2], &denied[3], &denied[4]);
    let (place, role) = match denied.get(5) {
        Some(namespace) => (format!(" in namespace {}", namespace.as_str()), "Role"),
        None => (String::new(), "ClusterRole"),
    };
    format!(
        "{user} may not {verb} {resource}{place}: ask for a {role} with \
         {{apiGroups: [\"{group}\"], resources: [\"{resource}\"], verbs: [\"{verb}\"]}}"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(code: u16, message: &str) -> String {
        explain(&kube::Error::Api(
            Status::failure(message, "Reason").with_code(code).boxed(),
        ))
    }

    #[test]
    fn a_refusal_says_what_helps() {
        for (code, message, wanted) in [
            (
                403,
                "migrations.crmferry.io \"acme\" is forbidden: User \"bob\" cannot patch resource \"migrations\" in API \
                 group \"crmferry.io\" in the namespace \"crm\"",
                "bob may not patch migrations in namespace crm: ask for a Role with {apiGroups: [\"crmferry.io\"], \
                 resources: [\"migrations\"], verbs: [\"patch\"]}",
            ),
            (
                403,
                "deployments.apps is forbidden: User \"bob\" cannot list resource \"deployments\" in API group \"apps\" \
                 at the cluster scope",
                "bob may not list deployments: ask for a ClusterRole with {apiGroups: [\"apps\"], resources: \
                 [\"deployments\"], verbs: [\"list\"]}",
            ),
            (
                403,
                "pods \"x\" is forbidden: User \"bob\" cannot get resource \"pods/exec\" in API group \"\" in the \
                 namespace \"crm\"",
                "bob may not get pods/exec in namespace crm: ask for a Role with {apiGroups: [\"\"], resources: \
                 [\"pods/exec\"], verbs: [\"get\"]}",
            ),
            (
                422,
                "migrations.crmferry.io \"acme\" is forbidden: ValidatingAdmissionPolicy 'crmferry-approval' with binding \
                 'crmferry-approval' denied request: write \"sha256:ab by bob\"",
                "refused: write \"sha256:ab by bob\"",
            ),
            (
                403,
                "pods \"x\" is forbidden: exceeded quota: none, requested: pods=1, used: pods=0, limited: pods=0",
                "pods \"x\" is forbidden: exceeded quota: none, requested: pods=1, used: pods=0, limited: pods=0: raise the \
                 quota, or free some of it (kubectl describe resourcequota)",
            ),
            (
                404,
                "the server could not find the requested resource",
                "the cluster does not know Crmferry's resources: install the chart, or apply crds/",
            ),
            (404, "pods \"x\" not found", "pods \"x\" not found"),
            (
                401,
                "Unauthorized",
                "the API server does not know you: log in to the cluster again",
            ),
            (500, "", "the API server answered 500"),
        ] {
            assert_eq!(said(code, message), wanted);
        }
    }

    #[test]
    fn only_what_means_nothing_is_a_usage_error() {
        assert_eq!(Error::Usage(String::new()).code(), 2);
        assert_eq!(Error::Refused(String::new()).code(), 1);
        assert_eq!(Error::Transfer(TransferError::Cut).code(), 1);
    }
}
