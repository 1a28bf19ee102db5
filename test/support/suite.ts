import assert from 'node:assert/strict';

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

type End = () => unknown;
type EndOf<T> =
  | { [K in keyof T]: T[K] extends () => unknown ? K : never }[keyof T]
  | ((part: T) => unknown)
  | undefined;
const ends = { afterAll: new WeakMap<Mocha.Suite, End[]>(), afterEach: new WeakMap<Mocha.Suite, End[]>() };

/**
 * Makes a part of a suite before its tests. It ends after them and after the other hooks of the suite, the latest part
 * first: by `end`, a function or the name of its method. To be called in `describe`.
 * @returns the part, which can be used once it is made.
 */
export function inSuite<T extends object>(end: EndOf<T>, make: () => T | Promise<T>): T {
  return partOf(before, 'afterAll', end, make);
}

/** The same for each test of a suite. */
export function inTest<T extends object>(end: EndOf<T>, make: () => T | Promise<T>): T {
  return partOf(beforeEach, 'afterEach', end, make);
}

function partOf<T extends object>(
  hook: Mocha.HookFunction,
  when: keyof typeof ends,
  end: EndOf<T>,
  make: () => T | Promise<T>,
): T {
  let made: T | undefined;
  const part = () => made ?? assert.fail('this part of the suite is not made yet');
  hook(async function () {
    const now = await make();
    made = now;
    const suite = this.test?.parent ?? assert.fail('every hook has a suite');
    if (end === undefined) return;
    endsOf(suite, when).push(() => (typeof end === 'function' ? end(now) : (now[end] as End).call(now)));
  });
  return new Proxy({} as T, {
    get: (_target, key) => Reflect.get(part(), key, part()),
    set: (_target, key, value) => Reflect.set(part(), key, value, part()),
    getPrototypeOf: () => Reflect.getPrototypeOf(part()),
    ownKeys: () => Reflect.ownKeys(part()),
    getOwnPropertyDescriptor: (_target, key) => {
      const property = Reflect.getOwnPropertyDescriptor(part(), key);
      return property && { ...property, configurable: true };
    },
  });
}

function endsOf(suite: Mocha.Suite, when: keyof typeof ends): End[] {
  const known = ends[when].get(suite);
  if (known) return known;
  const list: End[] = [];
  ends[when].set(suite, list);
  suite[when](async () => {
    for (const end of list.splice(0).reverse()) await end();
  });
  return list;
}

/** Ends after each test what it was given to keep, the latest first. To be called in `describe`. */
export function keepInTest<T>(end: (one: T) => unknown): <One extends T>(one: One) => One {
  const kept: T[] = [];
  afterEach(async () => {
    for (const one of kept.splice(0).reverse()) await end(one);
  });
  return (one) => {
    kept.push(one);
    return one;
  };
}
