"""What schemathesis cannot know of the service, each with its reason. Everything else is a failure."""

import datetime
import json
import re

import schemathesis
from hypothesis import strategies as st
from schemathesis.specs.openapi.checks import AcceptedNegativeData, RejectedPositiveData

# Dates and times lie between 1900 and 2199, which no keyword of JSON Schema says; x-limitations of the document does.
dates = st.dates(datetime.date(1900, 1, 1), datetime.date(2199, 12, 31))
times = st.datetimes(datetime.datetime(1900, 1, 2), datetime.datetime(2199, 12, 30))
schemathesis.openapi.format("date", dates.map(datetime.date.isoformat))
schemathesis.openapi.format("date-time", times.map(lambda time: time.isoformat() + "Z"))

# One object a line; an import of one line is enough to try its form.
LINES = ("application/x-ndjson", "application/jsonl")


@schemathesis.serializer(*LINES)
def as_lines(context, value):
    return value.encode() if isinstance(value, str) else json.dumps(value).encode() + b"\n"


# The problems that say that a request has not the form that the document describes …
OF_FORM = {
    "malformed-json",
    "duplicate-key",
    "invalid-parameter",
    "invalid-header",
    "invalid-body",
    "unsupported-media-type",
    "method-not-allowed",
}
# … and the faults in them that a keyword of the document decides. Valid requests never get one. The other faults are between two
# fields or parameters (an end before its start), or of a value whose rule no keyword has (a check digit; control characters).
OF_KEYWORDS = re.compile(r"unknown-(field|parameter|value)|wrong-(type|format|pattern)|blank|invalid(-.*)?|required|too-(long|short|large|small|many-.*|few-.*)")
# What must stand because of what another field says, or because nothing stands that a patch could keep; the description of each says when.
REQUIRED_BY_ANOTHER = re.compile(r"/(actualParticipants|description|partners|reason|text|choices|goalIds|facets|attested|evidence|onBehalfOf|(actual|expected)Participants/total)$|/occasions/\d+/venueId$")


def problem_of(response):
    try:
        problem = response.json()
    except ValueError:
        return None
    return problem if isinstance(problem, dict) and "code" in problem else None


def is_of_form(fault, case):
    """Is this a fault that the document says how to avoid?"""
    if not OF_KEYWORDS.fullmatch(fault["code"]):
        return False
    pointer, header = fault.get("pointer", ""), fault.get("header")
    if fault["code"] == "required" and REQUIRED_BY_ANOTHER.search(pointer):
        return False
    # the names in these maps are those that their descriptions list
    if fault["code"] == "unknown-value" and pointer.startswith("/titles/"):
        return False
    # schemathesis sends an optional header with a pattern empty, and calls that valid
    if header and case.headers.get(header) == "":
        return False
    return True


def is_refused_for_its_data(response, case):
    """A well-formed request may still name a unit that is not there, or end before it starts. What was refused for its form,
    although the document describes that form, stays a failure."""
    problem = problem_of(response)
    if problem is None:
        return False
    if problem["code"] not in OF_FORM:
        return True
    faults = problem.get("errors", [])
    return bool(faults) and not any(is_of_form(fault, case) for fault in faults)


def is_one_text_where_a_list_is_asked(case):
    """`?unitId=x` is the list of one text (OpenAPI, style form, explode false): it cannot be of the wrong type."""
    data = case.meta.phase.data
    if "type" not in (data.description or "").lower() or not isinstance(case.query.get(data.parameter), str):
        return False
    parameters = case.operation.query
    return any(p.name == data.parameter and p.definition.get("schema", {}).get("type") == "array" for p in parameters)


@schemathesis.hook
def filter_failure(context, failure, case, response):
    if isinstance(failure, RejectedPositiveData):
        return not is_refused_for_its_data(response, case)
    if isinstance(failure, AcceptedNegativeData):
        # of JSON lines each has its own result, and a bad one loses no good one
        return not is_one_text_where_a_list_is_asked(case) and case.media_type not in LINES
    return True
