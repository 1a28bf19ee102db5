import { EXIT, UserError } from '../../core/errors';

/** What was asked of a set makes no sense: an id, a page, a moment or a filter that cannot be. */
export class InvalidRequestError extends UserError {
  override readonly name = 'InvalidRequestError';

  constructor(message: string) {
    super(message, EXIT.usage);
  }
}
