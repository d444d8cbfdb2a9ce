"""The demo's little browser reads forms as a person would."""

from justpayme.runtime.page import forms

PAGE = """
<form method="post" action="/allow?x=1&amp;y=2">
 <input type="hidden" name="csrf" value="t&quot;k">
 <input name="empty">
 <label><input type="checkbox" name="tenant" value="1" checked> <b>Demo Company</b> (US)</label>
 <label for="uk">Demo Company (UK)</label><input type="checkbox" name="tenant" value="2" id="uk">
 <select name="size"><option value="s">Small<option value="l" selected>Large</option></select>
 <button name="decision" value="no">Cancel</button>
 <button name="decision" value="yes">Allow access</button>
 <button type="button" name="decision" value="js">Script</button>
</form>
<form action="/search"><input name="q" value="1"></form>
"""


def test_a_form_is_sent_as_a_browser_would() -> None:
    form, search = forms(PAGE)
    assert form.method == "post"
    assert form.action == "/allow?x=1&y=2"
    assert form.choose("(UK)")
    assert form.data("Allow") == {
        "csrf": ['t"k'],
        "empty": [""],
        "tenant": ["2"],
        "size": ["l"],
        "decision": ["yes"],
    }
    assert search.method == "get"
    assert search.data() == {"q": ["1"]}


def test_choosing_what_is_not_offered_changes_nothing() -> None:
    form = forms(PAGE)[0]
    assert not form.choose("Demo Company (FR)")
    assert form.data()["tenant"] == ["1"]
