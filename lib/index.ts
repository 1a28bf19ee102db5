/**
 * The public API: everything an app needs, and all that our sample app imports. The build makes each file load with the first
 * use of one of its names (.config/build.mjs). So the primary can import the app's manifest through this module without loading
 * models, jobs or mailers. The types are in `public-types.ts`, which no process loads.
 */

export { boot } from './boot';
export { broadcast, subscribe } from './broadcast/broadcast';
export { MissingValueError, UserError } from './core/errors';
export { currentContext, withAttributes } from './core/execution-context';
export { Batch } from './job/batch';
export { Cron } from './job/cron/run-time-cron';
export { BatchEndedError } from './job/definition/batch';
export {
  DiscardJob,
  EnqueueDeadlockError,
  EnqueueError,
  JobCancelledError,
  JobExpiredError,
  JobResultError,
  JobTakenError,
  JobThreadError,
  JobTimeoutError,
  KillJob,
  RateLimited,
  RecordGoneError,
  Snooze,
} from './job/definition/errors';
export { CancelEnqueue } from './job/enqueue/callbacks';
export { Job, performAllLater } from './job/job';
export { Jobs } from './job/jobs';
export { InvalidRequestError } from './job/sets/query';
export {
  AttachmentError,
  InvalidMailError,
  MissingTemplateError,
  MissingTextError,
  PartialDeliveryError,
  PermanentDeliveryError,
  TemplateError,
} from './mailer/definition/errors';
export { MailDeliveryJob } from './mailer/deliver-mail-job';
export { Mailer, MailerPreview } from './mailer/mailer';
export { deliverAllLater } from './mailer/message';
export { KeysetError } from './model/keyset';
export { Model } from './model/model';
export { currentTransaction, transaction } from './model/transaction';
export type * from './public-types';
export { defineApp } from './role/app/app-definition';
export { connect } from './role/connect/client';
export { clientNetwork } from './support/client-network';
export { ProblemError } from './web/context';
export { DISPLAY_NAME_RULE, EMAIL_RULE, parseDisplayName, parseEmail, SignUpLimits } from './web/sign-up';
