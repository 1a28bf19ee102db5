import type { Deadline } from '../support/deadline';

/** The part of the tree that serves HTTP, whatever it is made of. */
export interface WebSide {
  /** @returns the address in use, once all of it serves. @throws UserError when it cannot. */
  start(): Promise<string>;
  /** @returns how many processes had to be killed. */
  stop(deadline: Deadline): Promise<number>;
}
