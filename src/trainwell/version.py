"""The version of this trainwell, written once."""

VERSION = "0.1.0"
