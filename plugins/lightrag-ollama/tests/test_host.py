"""Where a server is, in all the forms that the ollama command takes."""

from __future__ import annotations

import pytest

from lightrag_ollama._host import address_of, is_cloud, is_cloud_model, is_loopback


@pytest.mark.parametrize(
    ("host", "address"),
    [
        ("", "http://127.0.0.1:11434"),
        ("example.com", "http://example.com:11434"),
        ("example.com:56789", "http://example.com:56789"),
        ("example.com:56789/", "http://example.com:56789"),
        ("example.com/ollama", "http://example.com:11434/ollama"),
        (":56789", "http://127.0.0.1:56789"),
        ("http://example.com", "http://example.com:80"),
        ("https://example.com", "https://example.com:443"),
        ("HTTPS://Example.com:8443/a/b/", "https://example.com:8443/a/b"),
        ("1.2.3.4", "http://1.2.3.4:11434"),
        ("0.0.0.0", "http://127.0.0.1:11434"),  # noqa: S104
        ("http://0.0.0.0:80", "http://127.0.0.1:80"),
        ("0.0.0.0:11435", "http://127.0.0.1:11435"),
        ("::1", "http://[::1]:11434"),
        ("[::1]", "http://[::1]:11434"),
        ("[::1]:56789/path", "http://[::1]:56789/path"),
        ("[::]:56789", "http://[::1]:56789"),
        ("https://[2001:db8::1]", "https://[2001:db8::1]:443"),
        (" 'example.com' ", "http://example.com:11434"),
        ("ollama.com", "https://ollama.com:443"),
        ("https://ollama.com", "https://ollama.com:443"),
    ],
)
def test_a_host_is_understood_as_by_the_command(host: str, address: str) -> None:
    """Default scheme, port and machine; what one binds to is asked on this machine."""
    assert address_of(host) == address


def test_the_cloud_is_told_by_its_name() -> None:
    """The model's, and the address's."""
    assert is_cloud_model("gpt-oss:120b-cloud")
    assert is_cloud_model("glm-5:cloud")
    assert not is_cloud_model("cloudy:7b")
    assert is_cloud(address_of("https://ollama.com"))
    assert not is_cloud(address_of("https://ollama.com.example.org"))


def test_this_machine_is_told_by_its_address() -> None:
    """By name or number."""
    hosts = ("", "localhost", "127.0.0.2", "[::1]:1", "10.0.0.1", "example.com")

    assert [is_loopback(address_of(host)) for host in hosts] == [True] * 4 + [False] * 2
