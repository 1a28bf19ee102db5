import { NotConnectedError } from '../../core/errors';
import type { ModelLookup } from '../../model/model-folder';
import type { JobSetup } from '../setup';
import type { Enqueuer } from './request';

/** What the app has for its jobs. */
export interface JobEquipment {
  readonly setup?: JobSetup | undefined;
  /** For arguments that are models. */
  readonly models?: ModelLookup | undefined;
}

export interface JobConnection extends JobEquipment {
  readonly enqueuer: Enqueuer;
}

let enqueuer: Enqueuer | undefined;
let equipment: JobEquipment = {};

/** @param given stays as it was when left out. */
export function connectEnqueuer(connected: Enqueuer | undefined, given: JobEquipment = equipment): void {
  enqueuer = connected;
  equipment = given;
}

/** @throws NotConnectedError before `boot()` has connected the job layer. @param asker named in the error. */
export function connection(asker: string): JobConnection {
  if (enqueuer) return { enqueuer, ...equipment };
  throw new NotConnectedError(
    `${asker} was called before boot() connected the job layer; call it from a request, a job or a script started by boot()`,
  );
}

/** Nothing before `boot()`. */
export function jobEquipment(): JobEquipment {
  return equipment;
}
