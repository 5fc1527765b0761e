"""What `scripts/bench_train` measures: generated data, a textbook's loop, and this program's."""
