#!/usr/bin/env python3
"""Tests of the chart: every value, its schema, the rendered install, and the policies on a real API server.

    eval "$(tests/testbed/up.sh)"; tests/testbed/chart_test.py [Render|Install|Policies]...

The policies are applied under names of their own and to one namespace of their own, so that nothing else in the cluster
meets them. Python's standard library, helm and kubectl; the definitions of crds/ are applied and stay.
"""

import json
import os
import re
import subprocess
import tempfile
import unittest

REPO = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BED = os.path.join(REPO, "tests", "testbed")
CHART = os.path.join(REPO, "charts", "crmferry")
NS = "crmferry-chart-test"
DIGEST = "sha256:" + "ab" * 32


def run(*command, text=None, config=None, check=True):
    env = dict(os.environ, **({"KUBECONFIG": config} if config else {}))
    done = subprocess.run(command, input=text, capture_output=True, text=True, env=env, cwd=REPO)
    if check and done.returncode:
        raise AssertionError(f"{' '.join(command[:6])}: {done.stderr.strip()}")
    return done


def kubectl(*words, **more):
    return run("kubectl", *words, **more)


def documents(text):
    decoder, at, found = json.JSONDecoder(), 0, []
    while text[at:].strip():
        at += len(text[at:]) - len(text[at:].lstrip())
        value, at = decoder.raw_decode(text, at)
        found += value["items"] if value["kind"] == "List" else [value]
    return found


def template(values=None, release="ferry", namespace="sales", crds=False):
    settings = {"crds": {"enabled": crds}}
    for key, value in (values or {}).items():
        here = settings
        *path, last = key.split(".")
        for word in path:
            here = here.setdefault(word, {})
        here[last] = value
    with tempfile.NamedTemporaryFile("w", suffix=".json") as file:
        json.dump(settings, file)
        file.flush()
        return run("helm", "template", release, CHART, "--kube-version", "1.33.0", "-n", namespace, "-f", file.name).stdout


def render(values=None, **more):
    """The objects of the chart by kind/name; kubectl reads the YAML."""
    text = template(values, **more)
    out = kubectl("create", "--dry-run=client", "--validate=false", "-o", "json", "-f", "-", text=text).stdout
    found = {}
    for one in documents(out):
        name = f"{one['kind']}/{one['metadata']['name']}"
        if "namespace" in one["metadata"]:
            name = f"{one['metadata']['namespace']}:{name}"
        assert name not in found, f"{name} twice"
        found[name] = one
    return found


def schema_leaves(schema, path=()):
    for key, sub in schema["properties"].items():
        if "properties" in sub:
            yield from schema_leaves(sub, (*path, key))
        else:
            yield ".".join((*path, key))


def deployment(objects):
    return objects["sales:Deployment/ferry-crmferry-operator"]["spec"]


def pod(objects):
    return deployment(objects)["template"]["spec"]


def container(objects):
    return pod(objects)["containers"][0]


def settings(objects):
    return objects["sales:ConfigMap/ferry-crmferry-worker"]["data"]["worker.yaml"]


RESOURCES = {"requests": {"cpu": "3m", "memory": "4Mi"}, "limits": {"cpu": "6m", "memory": "5Mi"}}
TOLERATION = {"key": "crm", "operator": "Exists", "effect": "NoSchedule"}

# Every value: something that differs from its default, and what must follow from it. A str is looked for in the worker's
# settings; a pair is a function of the objects and what it must give.
VALUES = {
    "global": ({"any": "thing"}, (lambda o: pod(o)["serviceAccountName"], "ferry-crmferry-operator")),
    "image.repository": ("mine/ferry", (lambda o: [container(o)["image"], container(o)["args"][2]], ["mine/ferry:0.1.0", "--worker-image=mine/ferry:0.1.0"])),
    "image.tag": ("9.9", (lambda o: [container(o)["image"], container(o)["args"][2]], ["crmferry/crmferry:9.9", "--worker-image=crmferry/crmferry:9.9"])),
    "image.pullPolicy": ("Never", (lambda o: [container(o)["imagePullPolicy"], "imagePullPolicy: Never" in settings(o)], ["Never", True])),
    "imagePullSecrets": ([{"name": "pull"}], (lambda o: pod(o)["imagePullSecrets"], [{"name": "pull"}])),
    "watchNamespaces": (["one", "two"], (lambda o: [container(o)["args"][1].split("=")[1], sorted(n for n in o if "Role/" in n and not n.startswith("Cluster"))],
                        ["one,two", sorted(f"{n}:Role/ferry-crmferry-{w}" for n in ("one", "two") for w in ("operator", "worker"))])),
    "resources": (RESOURCES, (lambda o: container(o)["resources"], RESOURCES)),
    "nodeSelector": ({"disk": "ssd"}, (lambda o: pod(o)["nodeSelector"], {"disk": "ssd"})),
    "tolerations": ([TOLERATION], (lambda o: pod(o)["tolerations"], [TOLERATION])),
    "affinity": ({"podAntiAffinity": {}}, (lambda o: pod(o)["affinity"], {"podAntiAffinity": {}})),
    "podAnnotations": ({"a": "b"}, (lambda o: deployment(o)["template"]["metadata"]["annotations"]["a"], "b")),
    "podLabels": ({"team": "crm"}, (lambda o: deployment(o)["template"]["metadata"]["labels"]["team"], "crm")),
    "worker.resources": (RESOURCES, "resources:\n  limits:\n    cpu: 6m\n    memory: 5Mi\n  requests:\n    cpu: 3m\n    memory: 4Mi\n"),
    "worker.imagePullSecrets": ([{"name": "pull"}], "imagePullSecrets:\n- name: pull\n"),
    "worker.nodeSelector": ({"disk": "ssd"}, "nodeSelector:\n  disk: ssd\n"),
    "worker.tolerations": ([TOLERATION], "tolerations:\n- effect: NoSchedule\n  key: crm\n  operator: Exists"),
    "worker.podLabels": ({"team": "crm"}, "podLabels:\n  team: crm\n"),
    "worker.podAnnotations": ({"a": "b"}, "podAnnotations:\n  a: b\n"),
    "worker.env": ([{"name": "HTTPS_PROXY", "value": "p"}], "env:\n- name: HTTPS_PROXY\n  value: p\n"),
    "worker.fsGroup": (4711, "fsGroup: 4711\n"),
    "worker.terminationGracePeriodSeconds": (77, "terminationGracePeriodSeconds: 77\n"),
    "worker.scratchSize": ("9Gi", "scratchSize: 9Gi\n"),
    "metrics.service": (False, (lambda o: [n for n in o if "Service/" in n], [])),
    "crds.enabled": (False, (lambda o: [n for n in o if "CustomResource" in n], [])),
    "policies.enabled": (False, (lambda o: [n for n in o if "Admission" in n], [])),
    "policies.freshness": ("Warn", (lambda o: o["ValidatingAdmissionPolicyBinding/crmferry-approval-current"]["spec"]["validationActions"], ["Warn"])),
    "clusterRoles.enabled": (False, (lambda o: [n for n in o if n.startswith("ClusterRole")], [])),
}


def effect(objects, wanted):
    return (wanted in settings(objects), True) if isinstance(wanted, str) else (wanted[0](objects), wanted[1])


class Render(unittest.TestCase):
    maxDiff = None

    @classmethod
    def setUpClass(cls):
        cls.default = render(crds=True)

    def test_every_value_of_the_schema_is_in_the_table(self):
        with open(os.path.join(CHART, "values.schema.json"), encoding="utf-8") as file:
            self.assertEqual(sorted(schema_leaves(json.load(file))), sorted(VALUES))

    def test_every_value_has_its_effect_and_only_then(self):
        for name, (value, wanted) in VALUES.items():
            with self.subTest(name):
                found, expected = effect(render({name: value}), wanted)
                self.assertEqual(found, expected)
                if name == "global":
                    continue
                try:
                    found, expected = effect(self.default, wanted)
                except KeyError:
                    continue
                self.assertNotEqual(found, expected, "the default has the same effect")

    def test_unknown_and_senseless_values_are_refused(self):
        for name, value in [("colour", "red"), ("worker.colour", "red"), ("image.colour", "red"), ("policies.freshness", "Maybe"),
                            ("image.pullPolicy", "Sometimes"), ("watchNamespaces", "sales"), ("worker.fsGroup", 0), ("crds.enabled", "yes"),
                            ("worker.env", [{"name": "A", "valueFrom": {}}]), ("resources", {"limit": {}}), ("worker.resources", {"requests": {"memory": "lots"}, "limits": {}}),
                            ("imagePullSecrets", ["pull"]), ("tolerations", [{"kee": "crm"}]), ("podLabels", {"team": 3}), ("metrics.service", 1)]:
            with self.subTest(name), self.assertRaises(AssertionError) as refused:
                template({name: value})
            self.assertIn(name.split(".")[0], str(refused.exception))

    def test_the_default_watches_the_namespace_of_the_release_alone(self):
        self.assertEqual(container(self.default)["args"][1], "--watch-namespaces=sales")
        self.assertIn("sales:Role/ferry-crmferry-operator", self.default)
        self.assertFalse([n for n in self.default if n.startswith("ClusterRoleBinding")])

    def test_no_namespace_means_the_whole_cluster(self):
        objects = render({"watchNamespaces": []})
        self.assertEqual(container(objects)["args"][1], "--watch-namespaces=")
        self.assertEqual(objects["ClusterRole/sales:ferry-crmferry-operator"]["rules"], self.default["sales:Role/ferry-crmferry-operator"]["rules"])
        self.assertEqual(objects["ClusterRoleBinding/sales:ferry-crmferry-operator"]["subjects"][0]["namespace"], "sales")
        self.assertIn("ClusterRole/sales:ferry-crmferry-worker", objects)
        self.assertFalse([n for n in objects if ":Role/" in n])

    def test_two_releases_share_nothing_but_what_a_value_turns_off(self):
        shared = {"crds.enabled": False, "policies.enabled": False, "clusterRoles.enabled": False, "watchNamespaces": []}
        first = render({"watchNamespaces": []}, namespace="one", crds=True)
        second = render(shared, namespace="two")
        self.assertEqual(set(first) & set(second), set())

    def test_no_role_has_a_wildcard_a_secret_or_rights_over_rights(self):
        for objects in self.default, render({"watchNamespaces": []}):
            for name, one in objects.items():
                for rule in one.get("rules", []) if "Role/" in name else []:
                    words = rule["apiGroups"] + rule["resources"] + rule["verbs"]
                    self.assertFalse({"*", "secrets", "rbac.authorization.k8s.io", "escalate", "bind", "impersonate"} & set(words), name)

    def test_the_operator_may_do_what_it_does_and_no_more(self):
        rules = self.default["sales:Role/ferry-crmferry-operator"]["rules"]
        may = {f"{resource} {verb}" for rule in rules for resource in rule["resources"] for verb in rule["verbs"]}
        for needed in ["migrations patch", "migrations/status update", "mappingspecs/status patch", "phaseruns create", "phaseruns delete",
                       "jobs create", "jobs delete", "pods watch", "configmaps create", "persistentvolumeclaims get", "events create"]:
            self.assertIn(needed, may)
        for refused in ["phaseruns/status patch", "configmaps update", "configmaps delete", "pods create", "migrations delete", "migrations/mapping approve"]:
            self.assertNotIn(refused, may)

    def test_the_worker_reads_and_reports(self):
        rules = self.default["sales:Role/ferry-crmferry-worker"]["rules"]
        may = {f"{resource} {verb}" for rule in rules for resource in rule["resources"] for verb in rule["verbs"]}
        self.assertEqual(may, {"migrations get", "mappingspecs get", "phaseruns get", "phaseruns/status get", "phaseruns/status patch"})

    def test_pods_are_restricted(self):
        self.assertEqual(deployment(self.default)["replicas"], 1)
        self.assertEqual(deployment(self.default)["strategy"], {"type": "Recreate"})
        self.assertTrue(pod(self.default)["securityContext"]["runAsNonRoot"])
        self.assertEqual(pod(self.default)["securityContext"]["seccompProfile"], {"type": "RuntimeDefault"})
        self.assertEqual(container(self.default)["securityContext"],
                         {"allowPrivilegeEscalation": False, "readOnlyRootFilesystem": True, "capabilities": {"drop": ["ALL"]}})
        self.assertEqual(container(self.default)["livenessProbe"]["httpGet"]["path"], "/healthz")
        self.assertEqual(container(self.default)["readinessProbe"]["httpGet"]["path"], "/readyz")
        ports = self.default["sales:Service/ferry-crmferry-metrics"]["spec"]
        self.assertEqual((ports["ports"][0]["port"], ports["selector"]), (8080, deployment(self.default)["selector"]["matchLabels"]))

    def test_changed_worker_settings_start_the_operator_anew(self):
        def mark(objects):
            return deployment(objects)["template"]["metadata"]["annotations"]["crmferry.io/worker-settings"]
        self.assertNotEqual(mark(self.default), mark(render({"worker.fsGroup": 1})))

    def test_the_definitions_are_those_of_the_repository_and_stay_when_the_release_goes(self):
        names = sorted(n for n in self.default if n.startswith("CustomResourceDefinition/"))
        self.assertEqual(len(names), len(os.listdir(os.path.join(REPO, "crds"))))
        for name in names:
            crd = self.default[name]
            self.assertEqual(crd["metadata"].pop("annotations"), {"helm.sh/resource-policy": "keep"})
            with open(os.path.join(REPO, "crds", name.split("/")[1].split(".")[0] + ".yaml"), encoding="utf-8") as file:
                source = documents(kubectl("create", "--dry-run=client", "--validate=false", "-o", "json", "-f", "-", text=file.read()).stdout)[0]
            source["metadata"].pop("annotations", None)
            self.assertEqual(crd, source)

    def test_generated_files_are_current(self):
        run("hack/generate.sh", "--check")

    def test_names_fit(self):
        for release in "crmferry", "a" * 53, "crmferry-" + "b" * 44:
            for name, one in render(release=release).items():
                self.assertLessEqual(len(one["metadata"]["name"]), 63, name)


class Install(unittest.TestCase):
    def test_the_api_server_takes_the_whole_release_and_pod_security_lets_it_in(self):
        kubectl("apply", "--server-side", "--force-conflicts", "-f", "crds")
        kubectl("create", "namespace", NS + "-install")
        try:
            kubectl("label", "namespace", NS + "-install", "pod-security.kubernetes.io/warn=restricted")
            done = kubectl("apply", "--server-side", "--force-conflicts", "--dry-run=server", "-f", "-", text=template(namespace=NS + "-install"))
            self.assertNotIn("Warning", done.stderr)
        finally:
            kubectl("delete", "namespace", NS + "-install", "--wait=false")


class Policies(unittest.TestCase):
    maxDiff = None

    @classmethod
    def setUpClass(cls):
        kubectl("apply", "--server-side", "--force-conflicts", "-f", "crds")
        kubectl("delete", "namespace", NS, "--ignore-not-found", "--timeout=60s")
        kubectl("create", "namespace", NS)
        cls.addClassCleanup(kubectl, "delete", "namespace", NS, "--wait=false")
        objects = render(release="policytest", namespace=NS)
        roles = [o for n, o in objects.items() if n.startswith("ClusterRole/") or f"{NS}:Role" in n or "ServiceAccount/" in n]
        guards = [o for n, o in objects.items() if "ValidatingAdmission" in n]
        for one in guards:
            one["metadata"]["name"] += "-test"
            if "policyName" in one["spec"]:
                one["spec"]["policyName"] += "-test"
                one["spec"]["matchResources"] = {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": NS}}}
        for one in roles:
            if one["kind"] == "ClusterRole":
                one["metadata"]["name"] += "-test"
                one["metadata"]["labels"] = {}                    # not aggregated: the real ones may be there too
        for kind in {o["kind"].lower() + "/" + o["metadata"]["name"] for o in guards + roles if "namespace" not in o["metadata"]}:
            cls.addClassCleanup(kubectl, "delete", kind, "--ignore-not-found")
        cls.apply(guards + roles)
        cls.people = {name: run(os.path.join(BED, "user.sh"), name).stdout.strip() for name in ("ana", "bruno", "carla", "dora")}
        cls.bind("mapping", "crmferry-approver-mapping-test", "ana")
        cls.bind("cutover", "crmferry-approver-cutover-test", "bruno")
        for who in "ana", "carla", "dora":                         # carla and dora approve nothing; dora may read no Secret
            cls.bind("edit-" + who, "crmferry-editor-test", who)
            cls.bind("view-" + who, "crmferry-viewer-test", who)
        kubectl("-n", NS, "create", "secret", "generic", "odoo", "--from-literal=apiKey=x")
        kubectl("-n", NS, "create", "role", "secrets", "--verb=get", "--resource=secrets", "--resource-name=odoo")
        for who in "ana", "carla":
            kubectl("-n", NS, "create", "rolebinding", "secrets-" + who, "--role=secrets", "--user=" + who)
        cls.apply([cls.migration("acme")])
        cls.gates("acme", "Waiting")
        cls.workers()
        cls.until_guarded()

    @classmethod
    def apply(cls, objects):
        kubectl("apply", "--server-side", "--force-conflicts", "-f", "-", text="\n".join(json.dumps(o) for o in objects))

    @classmethod
    def bind(cls, name, role, user):
        kubectl("-n", NS, "create", "rolebinding", name, "--clusterrole=" + role, "--user=" + user)

    @classmethod
    def migration(cls, name, secret="odoo"):
        return {"apiVersion": "crmferry.io/v1alpha1", "kind": "Migration", "metadata": {"name": name, "namespace": NS},
                "spec": {"mappingSpecRef": {"name": "m"}, "source": {"account": "acme", "files": {"path": "exports/"}},
                         "destination": {"odoo": {"url": "https://acme.example", "database": "acme", "secretRef": {"name": secret}}},
                         "workspace": {"persistentVolumeClaim": {"claimName": "ferry"}}}}

    @classmethod
    def gates(cls, name, mapping, cutover="Stale"):
        gates = [{"name": "mapping", "state": mapping, "evidenceDigest": DIGEST}, {"name": "cutover", "state": cutover, "evidenceDigest": DIGEST}]
        kubectl("-n", NS, "patch", "migration", name, "--subresource=status", "--type=merge", "-p", json.dumps({"status": {"gates": gates}}))

    @classmethod
    def workers(cls):
        """Two attempts, and a pod of the first: it need not run to have a token."""
        for name in "acme-load-r1a1", "acme-load-r1a1-b", "acme-load-r1a2":
            cls.apply([{"apiVersion": "crmferry.io/v1alpha1", "kind": "PhaseRun", "metadata": {"name": name, "namespace": NS},
                        "spec": {"migration": "acme", "run": 1, "phase": "Load", "attempt": 1}}])
        kubectl("-n", NS, "annotate", "phaserun", "acme-load-r1a2", "crmferry.io/closed=superseded")
        cls.tokens = {name: cls.token(name) for name in ("acme-load-r1a1-x7k2p", "acme-load-r1a2-x7k2p")}

    @classmethod
    def token(cls, name, account="policytest-crmferry-worker"):
        cls.apply([{"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "namespace": NS},
                    "spec": {"serviceAccountName": account, "schedulingGates": [{"name": "crmferry.io/never"}],
                             "containers": [{"name": "c", "image": "localhost/pause:1"}]}}])
        token = kubectl("-n", NS, "create", "token", account, "--bound-object-kind=Pod", "--bound-object-name=" + name).stdout.strip()
        return cls.identity(name, token)

    @classmethod
    def identity(cls, name, token):
        folder = tempfile.mkdtemp()
        cls.addClassCleanup(lambda: run("rm", "-r", folder))
        config = json.loads(kubectl("config", "view", "--raw", "--minify", "-o", "json").stdout)
        config["users"][0]["user"] = {"token": token}
        path = os.path.join(folder, name)
        with open(path, "w", encoding="utf-8") as file:
            json.dump(config, file)
        return path

    @classmethod
    def until_guarded(cls):
        """Policies are compiled within a second or so of their creation: asks each for a refusal until it gives one."""
        for action in (lambda: cls.annotate("carla", **{"crmferry.io/request": "dance 1"}),
                       lambda: cls.annotate("carla", **{"approval.crmferry.io/mapping": "x by carla"}),
                       lambda: cls.change("bruno", {"spec": {"suspend": True}}),
                       lambda: kubectl("-n", NS, "patch", "migration", "acme", "--dry-run=server", "--type=merge", "-p",
                                       json.dumps({"metadata": {"annotations": {"approval.crmferry.io/mapping": "x by admin"}}}), check=False),
                       lambda: kubectl("create", "--dry-run=server", "-f", "-", text=json.dumps(cls.migration("probe", "other")), config=cls.people["dora"], check=False),
                       lambda: kubectl("-n", NS, "patch", "migration", "acme", "--subresource=status", "--dry-run=server", "--type=merge", "-p", "{}",
                                       f"--as=system:serviceaccount:{NS}:policytest-crmferry-operator", check=False),
                       lambda: cls.report("acme-load-r1a1-x7k2p", "acme-load-r1a1-b")):
            for _ in range(300):
                if "ValidatingAdmissionPolicy" in action().stderr:
                    break
            else:
                raise AssertionError(f"not guarded after 300 tries: {action()}")

    @classmethod
    def annotate(cls, who, patch=None, name="acme", manager="crmferry-approval", **annotations):
        body = json.dumps({"metadata": {"annotations": annotations}, **(patch or {})})
        return kubectl("-n", NS, "patch", "migration", name, "--dry-run=server", "--type=merge", "--field-manager=" + manager, "-p", body,
                       config=cls.people[who], check=False)

    @classmethod
    def change(cls, who, change):
        return kubectl("-n", NS, "patch", "migration", "acme", "--dry-run=server", "--type=merge", "-p", json.dumps(change),
                       config=cls.people[who], check=False)

    @classmethod
    def report(cls, pod_name, phase_run):
        body = json.dumps({"status": {"workerVersion": "0.1.0"}})
        return kubectl("-n", NS, "patch", "phaserun", phase_run, "--subresource=status", "--type=merge", "-p", body,
                       config=cls.tokens[pod_name], check=False)

    def refused(self, done, policy, *sentences):
        self.assertNotEqual(done.returncode, 0, "was let in")
        # a chart that is installed beside refuses with the same sentence
        self.assertRegex(done.stderr, f"ValidatingAdmissionPolicy '{policy}(-test)?'")
        for sentence in sentences:
            self.assertIn(sentence, done.stderr)

    def let_in(self, done):
        self.assertEqual(done.returncode, 0, done.stderr)

    def approve(self, who, gate="mapping", digest=DIGEST, by=None, **more):
        return self.annotate(who, **more, **{"approval.crmferry.io/" + gate: f"{digest} by {by or who}"})

    def test_policies_have_no_type_warnings(self):
        for name in "approval", "approval-current", "change", "secrets", "request", "status", "phaserun":
            one = json.loads(kubectl("get", "validatingadmissionpolicy", f"crmferry-{name}-test", "-o", "json").stdout)
            self.assertEqual(one.get("status", {}).get("typeChecking", {}).get("expressionWarnings", []), [], name)

    def test_who_may_approves_the_evidence_that_waits(self):
        self.let_in(self.approve("ana"))
        self.let_in(self.approve("ana", by="ana for the steering board"))

    def test_a_wrong_digest_is_refused_with_the_right_one(self):
        self.refused(self.approve("ana", digest="sha256:" + "00" * 32), "crmferry-approval-current",
                     f'approval.crmferry.io/mapping="{DIGEST} by ana"')

    def test_a_gate_that_does_not_wait_is_refused(self):
        self.refused(self.approve("bruno", gate="cutover"), "crmferry-approval-current", "approval.crmferry.io/mapping=")
        self.gates("acme", "Passed")
        try:
            self.refused(self.approve("ana"), "crmferry-approval-current", "no gate is waiting")
        finally:
            self.gates("acme", "Waiting")

    def test_another_name_is_refused(self):
        self.refused(self.approve("ana", by="bruno"), "crmferry-approval", "in one's own name", "<evidence digest> by ana")
        self.refused(self.approve("ana", by="anastasia"), "crmferry-approval", "<evidence digest> by ana")
        self.refused(self.annotate("ana", **{"approval.crmferry.io/mapping": DIGEST}), "crmferry-approval", "<evidence digest> by ana")

    def test_without_the_right_nobody_approves(self):
        self.refused(self.approve("carla"), "crmferry-approval", "carla may not approve mapping: needs the verb approve on migrations/mapping")
        self.gates("acme", "Waiting", cutover="Waiting")
        try:
            self.refused(self.approve("ana", gate="cutover"), "crmferry-approval", "needs the verb approve on migrations/cutover")
            self.let_in(self.approve("bruno", gate="cutover"))
        finally:
            self.gates("acme", "Waiting")
        self.refused(self.approve("bruno"), "crmferry-approval", "crmferry-approver-mapping gives it")

    def test_whoever_may_approve_can_ask_first(self):
        def may(who, gate):
            return kubectl("-n", NS, "auth", "can-i", "approve", "migrations/acme", "--subresource=" + gate, config=self.people[who], check=False).stdout.strip()
        self.assertEqual([may("ana", "mapping"), may("ana", "cutover"), may("bruno", "cutover")], ["yes", "no", "yes"])

    def test_an_unknown_gate_is_refused(self):
        self.refused(self.approve("ana", gate="mappings"), "crmferry-approval", "unknown gate mappings: the gates are mapping and cutover")
        admin = kubectl("-n", NS, "annotate", "migration", "acme", "--dry-run=server", f"approval.crmferry.io/other={DIGEST} by admin", check=False)
        self.refused(admin, "crmferry-approval", "unknown gate other")

    def test_an_approval_changes_nothing_else(self):
        done = self.approve("ana", patch={"spec": {"accept": {"rejected": "99%"}}})
        self.refused(done, "crmferry-approval", "an approval may change nothing else in the same request")

    def test_who_may_approve_changes_nothing_but_approvals(self):
        kubectl("-n", NS, "annotate", "migration", "acme", "crmferry.io/request=retry 1", "note=x")
        try:
            for told, change in {
                "spec": {"spec": {"suspend": True}}, "spec needs": {"spec": {"accept": {"rejected": "99%"}}},
                "spec needs the verb": {"spec": {"destination": {"odoo": {"limits": {"profile": "SelfHosted"}}}}},
                "crmferry.io/request": {"metadata": {"annotations": {"crmferry.io/request": "cancel 1"}}},
                "crmferry.io/request needs": {"metadata": {"annotations": {"crmferry.io/request": None}}},
                "crmferry.io/pushed": {"metadata": {"annotations": {"crmferry.io/pushed": "2026-11-25T00:00:00Z"}}},
                "note": {"metadata": {"annotations": {"note": None}}}, "labels": {"metadata": {"labels": {"a": "b"}}},
                "finalizers": {"metadata": {"finalizers": ["a.example/b"]}},
                "ownerReferences": {"metadata": {"ownerReferences": [{"apiVersion": "v1", "kind": "ConfigMap", "name": "a", "uid": "b"}]}},
            }.items():
                with self.subTest(told):
                    self.refused(self.change("bruno", change), "crmferry-change", f"bruno may approve, and change nothing else: {told}",
                                 "needs the verb update on migrations, as ClusterRole crmferry-editor gives it")
                    self.let_in(self.change("carla", change))
            both = {"crmferry.io/request": "cancel 2", "approval.crmferry.io/mapping": f"{DIGEST} by ana"}
            self.let_in(self.annotate("ana", **both))              # ana is an editor too
            self.refused(self.annotate("bruno", **{**both, "approval.crmferry.io/mapping": None}), "crmferry-change", "crmferry.io/request")
            self.let_in(self.change("bruno", {"metadata": {"labels": {}}}))
        finally:
            kubectl("-n", NS, "annotate", "migration", "acme", "crmferry.io/request-", "note-")

    def test_who_may_approve_may_give_an_approval_and_take_it_back(self):
        self.gates("acme", "Waiting", cutover="Waiting")
        kubectl("-n", NS, "annotate", "migration", "acme", f"approval.crmferry.io/mapping={DIGEST} by admin")
        try:
            self.let_in(self.approve("bruno", gate="cutover"))
            self.let_in(self.annotate("bruno", **{"approval.crmferry.io/mapping": None}))
        finally:
            kubectl("-n", NS, "annotate", "migration", "acme", "approval.crmferry.io/mapping-")
            self.gates("acme", "Waiting")

    def test_who_acts_for_the_operators_account_is_no_operator(self):
        """As whoever has `edit` may, in the operator's namespace."""
        body = json.dumps({"status": {"run": 7}})
        done = kubectl("-n", NS, "patch", "migration", "acme", "--subresource=status", "--type=merge", "-p", body,
                       f"--as=system:serviceaccount:{NS}:policytest-crmferry-operator", check=False)
        self.refused(done, "crmferry-status", "speaks for no pod: only the pod of the operator writes the status of a Migration")

    def test_operator_and_garbage_collector_are_not_held_up(self):
        """The operator writes status and tries the guard; a deletion in the foreground is finished by the garbage collector."""
        operator = self.token("operator", "policytest-crmferry-operator")
        status = json.dumps({"status": {"run": 1}})
        self.let_in(kubectl("-n", NS, "patch", "migration", "acme", "--subresource=status", "--type=merge", "-p", status, config=operator, check=False))
        probe = json.dumps({"metadata": {"annotations": {"approval.crmferry.io/mapping": f"{DIGEST} by crmferry:nobody"}}})
        done = kubectl("-n", NS, "patch", "migration", "acme", "--dry-run=server", "--type=merge", "-p", probe, config=operator, check=False)
        self.refused(done, "crmferry-approval")
        self.apply([self.migration("goes")])
        uid = kubectl("-n", NS, "get", "migration", "goes", "-o", "jsonpath={.metadata.uid}").stdout
        owner = {"apiVersion": "crmferry.io/v1alpha1", "kind": "Migration", "name": "goes", "uid": uid, "blockOwnerDeletion": True}
        self.apply([{"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "goes-too", "namespace": NS, "ownerReferences": [owner]}}])
        kubectl("-n", NS, "delete", "migration", "goes", "--cascade=foreground", "--timeout=60s")
        self.assertNotEqual(kubectl("-n", NS, "get", "configmap", "goes-too", check=False).returncode, 0)

    def test_flux_would_strip_what_kubectl_writes(self):
        kubectl("-n", NS, "label", "migration", "acme", "kustomize.toolkit.fluxcd.io/name=apps")
        try:
            self.refused(self.approve("ana", manager="kubectl-annotate"), "crmferry-approval", "use `kubectl crmferry approve`")
            self.let_in(self.approve("ana"))
        finally:
            kubectl("-n", NS, "label", "migration", "acme", "kustomize.toolkit.fluxcd.io/name-")

    def test_revoking_and_everything_else_is_free(self):
        kubectl("-n", NS, "annotate", "migration", "acme", f"approval.crmferry.io/mapping={DIGEST} by admin")
        try:
            self.let_in(self.annotate("carla", **{"approval.crmferry.io/mapping": None}))
            self.let_in(self.annotate("carla", **{"note": "x"}))
            self.let_in(self.annotate("carla", patch={"spec": {"suspend": True}}))
            self.refused(self.approve("ana", digest="sha256:" + "11" * 32), "crmferry-approval-current")
        finally:
            kubectl("-n", NS, "annotate", "migration", "acme", "approval.crmferry.io/mapping-")

    def test_created_with_an_approval_is_let_in(self):
        restored = self.migration("restored")
        restored["metadata"]["annotations"] = {"approval.crmferry.io/mapping": "sha256:00 by somebody"}
        self.let_in(kubectl("create", "--dry-run=server", "-f", "-", text=json.dumps(restored), config=self.people["carla"], check=False))

    def test_a_secret_one_may_not_read_cannot_be_sent_anywhere(self):
        def create(who, secret):
            return kubectl("create", "--dry-run=server", "-f", "-", text=json.dumps(self.migration("new", secret)), config=self.people[who], check=False)
        self.let_in(create("carla", "odoo"))
        self.refused(create("carla", "payroll"), "crmferry-secrets", "carla may not send the Secret payroll anywhere: needs the verb get on it")
        self.refused(create("dora", "odoo"), "crmferry-secrets", "dora may not send the Secret odoo anywhere")

    def test_a_url_beside_a_secret_is_changed_only_by_who_may_read_it(self):
        for change in {"url": "https://evil.example"}, {"insecure": True}, {"database": "evil"}, {"secretRef": {"name": "payroll"}}, \
                {"caBundle": {"configMapKeyRef": {"name": "evil", "key": "ca.crt"}}}:
            with self.subTest(change):
                self.refused(self.annotate("dora", patch={"spec": {"destination": {"odoo": change}}}), "crmferry-secrets", "dora may not send")
        self.let_in(self.annotate("dora", patch={"spec": {"destination": {"odoo": {"limits": {"profile": "SelfHosted"}}}}}))
        self.let_in(self.annotate("carla", patch={"spec": {"destination": {"odoo": {"url": "https://new.example"}}}}))

    def test_the_secret_of_a_source_is_guarded_like_that_of_odoo(self):
        def create(who, secret, **more):
            new = self.migration("new")
            new["spec"]["source"]["pipz"] = {"secretRef": {"name": secret}, **more}
            return kubectl("create", "--dry-run=server", "-f", "-", text=json.dumps(new), config=self.people[who], check=False)
        self.let_in(create("carla", "odoo"))
        self.refused(create("carla", "payroll", url="https://evil.example"), "crmferry-secrets", "carla may not send the Secret payroll anywhere: needs the verb get on it")
        kubectl("-n", NS, "patch", "migration", "acme", "--type=merge", "-p", json.dumps({"spec": {"source": {"pipz": {"secretRef": {"name": "odoo"}}}}}))
        try:
            for change in {"url": "https://evil.example"}, {"insecure": True}, {"secretRef": {"name": "payroll"}}, {"authentication": "Basic"}:
                with self.subTest(change):
                    self.refused(self.annotate("dora", patch={"spec": {"source": {"pipz": change}}}), "crmferry-secrets", "dora may not send")
            self.let_in(self.annotate("dora", patch={"spec": {"suspend": True}}))
            self.let_in(self.annotate("dora", patch={"spec": {"source": {"pipz": None}}}))
        finally:
            kubectl("-n", NS, "patch", "migration", "acme", "--type=merge", "-p", json.dumps({"spec": {"source": {"pipz": None}}}))

    def test_requests_are_known_verbs_with_a_nonce(self):
        for good in "retry 1", "retry from-extract k2", "cancel 2026-11-22T18:00:00Z", "rerun a.b", "replan x", "unlock 7f":
            with self.subTest(good):
                self.let_in(self.annotate("carla", **{"crmferry.io/request": good}))
        self.let_in(self.annotate("carla", **{"crmferry.io/request": None}))
        for bad in "dance 1", "retry", "retry from-extract", "retry all 1", "cancel from-extract 1", "rerun  1", "Retry 1", " ", "retry from-extract k 2", "retry ünique":
            with self.subTest(bad):
                self.refused(self.annotate("carla", **{"crmferry.io/request": bad}), "crmferry-request", bad,
                             "it is one of retry, retry from-extract, cancel, rerun, replan, unlock", "as in: retry ")

    def test_a_pod_writes_its_own_attempt(self):
        self.let_in(self.report("acme-load-r1a1-x7k2p", "acme-load-r1a1"))

    def test_a_foreign_attempt_is_refused(self):
        self.refused(self.report("acme-load-r1a2-x7k2p", "acme-load-r1a1"), "crmferry-phaserun", "only the pod of a PhaseRun writes its status")
        self.refused(self.report("acme-load-r1a1-x7k2p", "acme-load-r1a1-b"), "crmferry-phaserun", "is not of the attempt acme-load-r1a1-b")

    def test_an_attempt_that_only_begins_alike_is_refused(self):
        if "acme-load" not in kubectl("-n", NS, "get", "phr", "-o", "name").stdout.split("/"):
            self.apply([{"apiVersion": "crmferry.io/v1alpha1", "kind": "PhaseRun", "metadata": {"name": "acme-load", "namespace": NS},
                         "spec": {"migration": "acme", "run": 1, "phase": "Load", "attempt": 1}}])
        self.refused(self.report("acme-load-r1a1-x7k2p", "acme-load"), "crmferry-phaserun", "is not of the attempt acme-load:")

    def test_a_closed_attempt_is_refused(self):
        self.refused(self.report("acme-load-r1a2-x7k2p", "acme-load-r1a2"), "crmferry-phaserun", "the attempt acme-load-r1a2 is closed: another has taken its place")

    def test_a_token_of_no_pod_is_refused(self):
        token = kubectl("-n", NS, "create", "token", "policytest-crmferry-worker").stdout.strip()
        self.tokens["none"] = self.identity("none", token)
        self.refused(self.report("none", "acme-load-r1a1"), "crmferry-phaserun", "speaks for no pod")

    def test_a_worker_cannot_reopen_its_attempt(self):
        body = json.dumps({"metadata": {"annotations": {"crmferry.io/closed": None}}})
        done = kubectl("-n", NS, "patch", "phaserun", "acme-load-r1a2", "--type=merge", "-p", body, config=self.tokens["acme-load-r1a2-x7k2p"], check=False)
        self.assertRegex(done.stderr, re.compile("cannot patch resource"))


if __name__ == "__main__":
    unittest.main(verbosity=1)
