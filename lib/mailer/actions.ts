import type { ActionResult } from './mail';
import type { AnyMailer } from './mailer-class';
import type { MailMessage } from './message';

type Action = (...args: never[]) => ActionResult;
export type ActionArguments<A> = A extends (...args: infer P) => ActionResult ? P : never;

/** The names of a mailer's methods that build mails. */
export type ActionName<M> = { [K in keyof M]: M[K] extends Action ? K : never }[keyof M] & string;

/** A message of one action. */
export type MessageOf<M extends AnyMailer, A extends keyof M> = MailMessage<ActionArguments<M[A]>, M['params']>;

/** What `with()` takes; never for a mailer without params. */
export type ParamsOf<M extends AnyMailer> = keyof M['params'] extends never ? never : M['params'];

declare const WITH_PARAMS: unique symbol;

/** What `with()` gives. An action of a mailer that has params is called on it, and not on the class. */
interface GivenParams<P> {
  readonly [WITH_PARAMS]: P;
}

/** An action as a static of its class. */
export type MailAction<M extends AnyMailer, A extends keyof M> = object extends M['params']
  ? (...args: ActionArguments<M[A]>) => MessageOf<M, A>
  : (this: GivenParams<M['params']>, ...args: ActionArguments<M[A]>) => MessageOf<M, A>;

/** The actions of a mailer's class, given params. */
export type WithParams<C> = {
  readonly [K in keyof C as C[K] extends (this: never, ...args: never[]) => MailMessage ? K : never]: C[K] extends (
    this: never,
    ...args: infer P
  ) => infer R
    ? (...args: P) => R
    : never;
};

/** What makes an action's message, by the static that holds it. */
const actions = new WeakMap<object, string>();

/** From now on `made` is known as an action. */
export function declareAction<F extends object>(made: F, name: string): F {
  actions.set(made, name);
  return made;
}

/** The actions of a class and those it inherits: the static's name, and the method's. */
export function actionsOf(mailer: object): ReadonlyMap<string, string> {
  const found = new Map<string, string>();
  for (let owner: object | null = mailer; owner; owner = Object.getPrototypeOf(owner) as object | null) {
    for (const [name, { value }] of Object.entries(Object.getOwnPropertyDescriptors(owner))) {
      const action = typeof value === 'function' ? actions.get(value) : undefined;
      if (action !== undefined && !found.has(name)) found.set(name, action);
    }
  }
  return found;
}
