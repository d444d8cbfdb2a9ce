"""Which stored row goes on in which new one."""

from hypothesis import given
from hypothesis import strategies as st

from justpayme.core.rows import Row, keys_of


def test_a_row_is_known_by_xeros_id_wherever_it_stands_and_whatever_it_says():
    before = [(1, Row("a", ("door",))), (2, Row("b", ("hinge",)))]
    assert keys_of(before, [Row("b", ("new words",)), Row("c", ("door",)), Row("a", ("x",))]) == [
        2,
        None,
        1,
    ]


def test_a_row_that_was_only_here_is_known_by_what_it_says_once_xero_has_it():
    before = [(1, Row("", ("door",))), (2, Row("", ("door",))), (3, Row("", ("hinge",)))]
    after = [Row("c", ("hinge",)), Row("a", ("door",)), Row("b", ("door",)), Row("d", ("door",))]
    assert keys_of(before, after) == [3, 1, 2, None]


def test_what_xero_knows_by_another_id_is_another_row():
    assert keys_of([(1, Row("a", ("door",)))], [Row("b", ("door",)), Row("", ("door",))]) == [
        None,
        None,
    ]


rows = st.lists(st.builds(Row, st.sampled_from(["", "", "a", "b", "c"]), st.tuples(st.booleans())))


@given(rows, rows)
def test_no_key_comes_twice_and_nothing_unlike_goes_on(before, after):
    known = dict(enumerate(before, start=1))
    keys = keys_of(list(known.items()), after)
    given_out = [key for key in keys if key is not None]
    assert len(keys) == len(after)
    assert len(given_out) == len(set(given_out))
    for key, row in zip(keys, after, strict=True):
        if key is not None:
            old = known[key]
            same_id = old.remote_id == row.remote_id
            assert same_id if old.remote_id else old.says == row.says
