module.exports = class {
  constructor() {
    throw new Error('@ladjs/i18n is left out: the texts of mails are those of the locale files, through i18next');
  }
};
