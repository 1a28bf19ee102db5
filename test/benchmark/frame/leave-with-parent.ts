/** Loaded into each process of a benchmark before its own code: however the run ends, it does not go on without it. */
process.once('disconnect', () => process.exit(1));
