import { QUEUE_NAME } from '../redis/keys';
import type { EnqueueRequest } from './request';

/** @throws TypeError that names the class and the queue, for a name that no queue can have. */
export function checkQueue({ name, queue }: Pick<EnqueueRequest, 'name' | 'queue'>): void {
  if (typeof queue === 'string' && QUEUE_NAME.test(queue)) return;
  throw new TypeError(`${name}: queue is ${JSON.stringify(queue)}; use letters, digits, - and _`);
}
