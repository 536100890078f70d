// Only what is precompiled for the tests counts here.
