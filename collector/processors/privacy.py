"""Leaves of each project's rows what its policy lets reach the disk. Runs before the other processors."""

from collections.abc import Callable, Mapping
from functools import partial

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from collector.otlp.logs import EVENT, EVENT_NAMES
from collector.privacy.content import ContentRule
from collector.privacy.denial import DenialRule
from collector.privacy.evaluations import EvaluationRule
from collector.privacy.keyed_hash import KeyedHash
from collector.privacy.keys import Keys
from collector.privacy.policy import Content, PrivacyPolicy
from collector.privacy.redaction import RedactionRule
from collector.privacy.redactor import Redactor
from collector.processors.columns import Coded, with_columns
from schemas.evaluations import EVALUATION_TABLES
from schemas.log_records import LOG_RECORDS
from schemas.metric_points import METRIC_POINTS
from schemas.spans import SPANS
from schemas.tables import LOGGED_TABLES

EVERY_PROJECT = "*"
# The tables that have attributes, and a hash of what was sent.
_WITH_ATTRIBUTES = (SPANS.name, LOG_RECORDS.name, METRIC_POINTS.name)

Rule = Callable[[pa.RecordBatch], pa.RecordBatch]


class Privacy:
    """The policies by project; that of EVERY_PROJECT holds for projects without one of their own."""

    def __init__(self, policies: Mapping[str, PrivacyPolicy], key: bytes) -> None:
        self._policies = dict(policies)
        self._key = key
        self._rules: dict[str, _Rules | None] = {}

    def __call__(self, table: str, rows: pa.RecordBatch) -> pa.RecordBatch:
        """Return the rows of a table as they may be stored, in their order."""
        if rows.num_rows == 0:
            return rows
        projects = Coded.of(rows["project"])
        if len(projects.texts) == 1:
            return self._applied(table, rows, projects.texts[0])
        order = np.argsort(projects.codes, kind="stable")
        by_project = [
            self._applied(table, rows.filter(pa.array(projects.codes == code)), project)
            for code, project in enumerate(projects.texts)
        ]
        return pa.concat_batches(by_project).take(pa.array(np.argsort(order)))

    def identifier(self, project: str, text: str) -> str:
        """Return what an identifier, such as a customer's id, is stored as."""
        rules = self._rules_of(project)
        return text if rules is None else rules.redactor.identifier(text)

    def hashed(self, project: str, text: str) -> str:
        """Return a hash that tells nothing of the text, where the project has a policy; else the text itself."""
        rules = self._rules_of(project)
        return text if rules is None else rules.hash.of(text)

    def keeps_content(self, project: str) -> bool:
        """Return whether what is said may be stored as it is, save for what is redacted."""
        rules = self._rules_of(project)
        return rules is None or rules.keeps_content

    def redacted(self, project: str, text: str) -> str:
        """Return a text as the project's patterns leave it."""
        rules = self._rules_of(project)
        return text if rules is None else rules.redactor.text(text)

    def denies(self, project: str, key: str) -> bool:
        """Return whether attributes of this key are left out."""
        rules = self._rules_of(project)
        return rules is not None and rules.denied.match(key)

    def _applied(self, table: str, rows: pa.RecordBatch, project: str | None) -> pa.RecordBatch:
        rules = self._rules_of(project or "")
        if rules is None:
            return rows
        for rule in rules.by_table[table]:
            rows = rule(rows)
        return rows

    def _rules_of(self, project: str) -> "_Rules | None":
        if project not in self._rules:
            policy = self._policies.get(project, self._policies.get(EVERY_PROJECT))
            made = None if policy is None or policy.changes_nothing else _Rules(policy, KeyedHash(self._key, project))
            self._rules[project] = made
        return self._rules[project]


class _Rules:
    """A policy's rules by table, in order."""

    def __init__(self, policy: PrivacyPolicy, keyed_hash: KeyedHash) -> None:
        self.redactor = Redactor(policy.redact, policy.patterns, keyed_hash)
        self.by_table: dict[str, list[Rule]] = {table.name: [] for table in LOGGED_TABLES}
        self.hash = keyed_hash
        self.denied = Keys(policy.deny)
        self.keeps_content = policy.content is Content.KEEP
        rule = ContentRule(policy.content, Keys(policy.content_attributes), keyed_hash)
        # First: what tells an event from other spans may be left out by the others.
        self._add({SPANS.name: partial(_with_keyed_event_ids, keyed_hash=keyed_hash)})
        if policy.deny:
            self._add({name: DenialRule(self.denied) for name in _WITH_ATTRIBUTES})
        if policy.content is not Content.KEEP:
            self._add({SPANS.name: rule, LOG_RECORDS.name: rule.of_logs, METRIC_POINTS.name: rule})
        if policy.deny or policy.content is not Content.KEEP:
            self._add({table.name: EvaluationRule(table, policy, rule) for table in EVALUATION_TABLES})
        if policy.redact or policy.patterns:
            for table in LOGGED_TABLES:
                self.by_table[table.name].append(RedactionRule(table, self.redactor))
        self._add({name: partial(_with_keyed_hash, keyed_hash=keyed_hash) for name in _WITH_ATTRIBUTES})

    def _add(self, rules: Mapping[str, Rule]) -> None:
        for table, rule in rules.items():
            self.by_table[table].append(rule)


def _with_keyed_hash(spans: pa.RecordBatch, keyed_hash: KeyedHash) -> pa.RecordBatch:
    """Return the rows with a content hash by which nobody can try what was redacted."""
    return with_columns(spans, content_hash=keyed_hash.of_numbers(spans["content_hash"]))


def _with_keyed_event_ids(spans: pa.RecordBatch, keyed_hash: KeyedHash) -> pa.RecordBatch:
    """Return the spans, those that were events in logs with ids by which nobody can try what was sent.

    Such an id is a hash (``collector.otlp.logs``); no other span names it as its parent.
    """
    if spans.num_rows == 0 or not pc.any(pc.equal(spans["operation"], EVENT)).as_py():
        return spans
    are_events = pc.and_(pc.equal(spans["operation"], EVENT), pc.equal(spans["duration_ns"], 0))
    are_events = pc.and_(are_events, pc.starts_with(spans["name"], EVENT_NAMES)).fill_null(fill_value=False)
    ids = [
        keyed_hash.of(span_id, digits=16) if is_event else span_id
        for span_id, is_event in zip(spans["span_id"].to_pylist(), are_events.to_pylist(), strict=True)
    ]
    return with_columns(spans, span_id=pa.array(ids, spans.schema.field("span_id").type))
