export const PROCESSOR_ROLE = 'processor';

/** Role of the process that checks the app while the tree starts. */
export const CHECK_ROLE = 'check-start';

export const PREVIEWS_ROLE = 'previews';

/** Role of the process in which `catamount generate` and `dev` ask an app for its folders. */
export const FOLDERS_ROLE = 'folders';
