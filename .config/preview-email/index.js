module.exports = () => {
  throw new Error('preview-email is left out: mails are previewed under /ops/mail');
};
