from twilio_frames.server.calls.tokens import StreamTokens


class Clock:
    def __init__(self):
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def test_token_opens_once():
    tokens = StreamTokens()
    token = tokens.issue("CA1")

    assert tokens.redeem(token, "CA1")
    assert not tokens.redeem(token, "CA1")


def test_token_is_one_calls():
    tokens = StreamTokens()
    token = tokens.issue("CA1")
    tokens.issue("CA2")

    assert not tokens.redeem(token, "CA2")
    assert not tokens.redeem(token, "CA3")
    assert tokens.redeem(token, "CA1")


def test_token_expires():
    clock = Clock()
    tokens = StreamTokens(lifetime=60, clock=clock)
    token = tokens.issue("CA1")
    clock.now = 60

    assert not tokens.redeem(token, "CA1")


def test_each_of_several_tokens_for_one_call_opens_once():
    tokens = StreamTokens()
    issued = [tokens.issue("CA1"), tokens.issue("CA1")]

    assert [tokens.redeem(token, "CA1") for token in (*issued, *issued)] == [True] * 2 + [False] * 2


def test_store_is_bounded():
    tokens = StreamTokens(capacity=2)
    issued = {sid: tokens.issue(sid) for sid in ("CA1", "CA2", "CA3")}

    assert not tokens.redeem(issued["CA1"], "CA1")
    assert tokens.redeem(issued["CA3"], "CA3")


def test_empty_token_opens_nothing():
    assert not StreamTokens().redeem("", "CA1")
    assert not StreamTokens().redeem("\udcff", "")
