/** `UserMailer` → `user_mailer`, `passwordReset` → `password_reset`: folders of templates and keys of texts. */
export function underscore(name: string): string {
  return name.replace(/([a-z0-9])([A-Z])|([A-Z])(?=[A-Z][a-z])/g, '$1$3_$2').toLowerCase();
}

/** `passwordReset` → `Password reset`: the subject of last resort. */
export function humanise(name: string): string {
  const words = underscore(name).replaceAll('_', ' ').trim();
  return words.charAt(0).toUpperCase() + words.slice(1);
}
