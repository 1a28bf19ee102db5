// `Child` preloads this module into each forked process, so that none outlives the run, however it ends.
process.once('disconnect', () => process.exit(1));

/** The counterpart of `runChild`: performs the task in the first argument, sends its result and exits. */
export function runTask<T>(perform: (task: T) => Promise<unknown>): void {
  const run = async () => {
    const result = await perform(JSON.parse(process.argv[2] ?? '{}') as T);
    await new Promise((sent) => process.send?.(result, sent));
  };
  run().then(
    () => process.exit(),
    (error: unknown) => {
      process.stderr.write(`${error instanceof Error ? error.stack : error}\n`);
      process.exit(1);
    },
  );
}
