import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st
from twilio.request_validator import RequestValidator

from twilio_frames.signature import (
    HMAC_SHA256,
    SignatureValidator,
    sign,
    spellings,
)

TOKEN = "12345"
WEBHOOK = "https://example.com/myapp.php?foo=1&bar=2"
FORM = {
    "Digits": "1234",
    "To": "+18005551212",
    "From": "+14158675310",
    "Caller": "+14158675310",
    "CallSid": "CA1234567890ABCDE",
}
validator = SignatureValidator(auth_token=TOKEN)


def test_upgrade_vectors_match():
    assert sign(TOKEN, "wss://example.com/ws") == "HXrgvHt0qTHu33oSxSjpOvWtO60="
    assert sign(TOKEN, "wss://example.com/ws/") == "j0Lk7oc4I3dN5+UOMYWX25p8tJA="


def test_form_vector_matches():
    assert sign(TOKEN, WEBHOOK, FORM) == "L/OH5YylLD5NRKLltdqwSvS0BnU="


@given(st.dictionaries(st.text(), st.text()))
def test_signature_agrees_with_sdk(form: dict[str, str]):
    assert sign(TOKEN, WEBHOOK, form) == RequestValidator(TOKEN).compute_signature(WEBHOOK, form)


def test_sha256_agrees_with_sdk():
    expected = RequestValidator(TOKEN).compute_signature(WEBHOOK, FORM, HMAC_SHA256)
    assert sign(TOKEN, WEBHOOK, FORM, algorithm=HMAC_SHA256) == expected


def test_unknown_algorithm_is_named():
    with pytest.raises(ValueError, match="got 'MD5'"):
        sign(TOKEN, WEBHOOK, algorithm="MD5")


def test_valid_form_passes():
    assert validator.is_valid(WEBHOOK, sign(TOKEN, WEBHOOK, FORM), params=FORM)


def test_repeated_names_count():
    pairs = [("MediaUrl", "b"), ("MediaUrl", "a"), ("MediaUrl", "a"), ("To", "x")]
    signature = sign(TOKEN, WEBHOOK, [("MediaUrl", "a"), ("MediaUrl", "b"), ("To", "x")])

    assert validator.is_valid(WEBHOOK, signature, params=pairs)
    assert not validator.is_valid(WEBHOOK, signature, params=dict(pairs))


@pytest.mark.parametrize("position", range(28))
def test_one_character_off_fails(position: int):
    right = sign(TOKEN, WEBHOOK, FORM)
    other = "B" if right[position] == "A" else "A"
    wrong = right[:position] + other + right[position + 1 :]

    assert not validator.is_valid(WEBHOOK, wrong, params=FORM)


@pytest.mark.parametrize("garbage", [None, "", "=", "é", "\udcff", "a" * 100_000, "\x00"])
def test_garbage_signature_is_false(garbage: str | None):
    assert not validator.is_valid(WEBHOOK, garbage, params=FORM)


@pytest.mark.parametrize("url", ["", "not a url", "http://[::1", "wss://h:99999/x", "https://"])
def test_garbage_url_is_false(url: str):
    assert not validator.is_valid(url, "x" * 28, params=FORM)


def test_surrogates_in_form_are_false():
    assert not validator.is_valid(WEBHOOK, "x" * 28, params={"a": "\udcff"})


def test_empty_token_validates_nothing():
    assert not SignatureValidator(auth_token="").is_valid(WEBHOOK, sign("", WEBHOOK))


def test_parameter_added_fails():
    assert not validator.is_valid(WEBHOOK, sign(TOKEN, WEBHOOK, FORM), params=FORM | {"x": "y"})


@pytest.mark.parametrize(
    ("signed", "seen"),
    [
        ("wss://bot.example.com/stream", "wss://bot.example.com/stream"),
        ("wss://bot.example.com/stream/", "wss://bot.example.com/stream"),
        ("wss://bot.example.com/stream", "wss://bot.example.com/stream/"),
        ("wss://bot.example.com:443/stream", "wss://bot.example.com/stream"),
        ("wss://bot.example.com:443/stream/", "wss://bot.example.com/stream"),
        ("wss://bot.example.com/stream", "wss://bot.example.com:8443/stream"),
        ("wss://bot.example.com/stream", "wss://user:pass@bot.example.com:8443/stream"),
        ("wss://[2001:db8::1]/stream", "wss://[2001:db8::1]:443/stream"),
        ("https://bot.example.com/twiml", "https://bot.example.com:443/twiml"),
        ("https://bot.example.com:443/twiml", "https://bot.example.com/twiml"),
        ("https://bot.example.com/twiml", "https://u:p@bot.example.com:8443/twiml"),
        ("http://127.0.0.1:5000/twiml", "http://127.0.0.1:5000/twiml"),
        ("ws://127.0.0.1:5000/stream", "ws://127.0.0.1:5000/stream"),
    ],
)
def test_spellings_of_one_url_pass(signed: str, seen: str):
    assert validator.is_valid(seen, sign(TOKEN, signed))


@pytest.mark.parametrize(
    ("signed", "seen"),
    [
        ("https://bot.example.com/stream", "wss://bot.example.com/stream"),
        ("https://bot.example.com/twiml/", "https://bot.example.com/twiml"),
        ("https://other.example.com/twiml", "https://bot.example.com/twiml"),
        ("https://bot.example.com/twiml?a=1", "https://bot.example.com/twiml"),
        ("https://bot.example.com:9000/twiml", "https://bot.example.com/twiml"),
    ],
)
def test_other_urls_fail(signed: str, seen: str):
    assert not validator.is_valid(seen, sign(TOKEN, signed))


def test_spellings_keep_query():
    assert "wss://h:443/s/?a=%20b" in spellings("wss://h/s?a=%20b")


def test_json_body_is_checked():
    body = b'{"a": 1}'
    url = f"{WEBHOOK}&bodySHA256={hashlib.sha256(body).hexdigest()}"
    signature = sign(TOKEN, url)

    assert validator.is_valid(url, signature, body=body)
    assert not validator.is_valid(url, signature, body=b'{"a": 2}')
    assert not validator.is_valid(WEBHOOK, sign(TOKEN, WEBHOOK), body=body)


def test_shared_key_signs():
    keyed = SignatureValidator(auth_token=TOKEN, shared_keys={"key1": "secret"})
    signature = sign("secret", WEBHOOK, FORM, algorithm=HMAC_SHA256)

    def check(settings: str) -> bool:
        return keyed.is_valid(WEBHOOK, signature, params=FORM, settings=settings)

    assert check("key=key1,algorithm=HMAC_SHA256")
    assert not check("key=key2,algorithm=HMAC_SHA256")
    assert not check("key=key1,algorithm=HMAC_MD5")
    assert not check("key=key1")
    assert not check("garbage")


def test_secrets_stay_out_of_repr():
    keyed = SignatureValidator(auth_token="tok3n", shared_keys={"key1": "s3cret"})

    assert "tok3n" not in repr(keyed)
    assert "s3cret" not in repr(keyed)
