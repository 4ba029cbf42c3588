"""What the tests of this folder share: servers, programs, certificates."""
