import type { Deadline } from '../support/deadline';

/** The part of the tree that serves HTTP, whatever it is made of. */
export interface WebSide {
  /**
   * @param onListening told the address in use as soon as it is had: before any process is forked.
   * @returns that address, once all of it serves. @throws UserError when it cannot.
   */
  start(onListening?: (address: string) => void): Promise<string>;
  /** @returns how many processes had to be killed. */
  stop(deadline: Deadline): Promise<number>;
}
