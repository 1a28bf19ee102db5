export interface SuiteOptions {
  /** true: opened anew for each test. */
  readonly each?: boolean | undefined;
}

interface Opened {
  open(): Promise<void>;
  remove(): Promise<void>;
}

/** Opens something before the tests of a suite, and removes it after them. To be called in `describe`. */
export function useInSuite<T extends Opened>(opened: T, { each = false }: SuiteOptions = {}): T {
  (each ? beforeEach : before)(() => opened.open());
  (each ? afterEach : after)(() => opened.remove());
  return opened;
}
