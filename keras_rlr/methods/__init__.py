"""The methods: one file or one small folder each."""
