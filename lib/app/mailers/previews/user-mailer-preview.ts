import { MailerPreview } from '../../../index';
import { UserMailer } from '../user-mailer';

/** Shown at /ops/mail. */
export default class UserMailerPreview extends MailerPreview {
  welcome() {
    const user = this.locale === 'ko' ? { name: '김민지', email: 'minji@example.com' } : ADA;
    return UserMailer.welcome({ ...user, locale: this.locale });
  }

  welcomeWithoutName() {
    return UserMailer.welcome({ name: null, email: 'ada.park@example.com', locale: this.locale });
  }

  welcomeWithOddName() {
    return UserMailer.welcome({ name: "O'Brien <b> & Söhne 🐈", email: "o'brien@example.com", locale: this.locale });
  }

  welcomeWithLongName() {
    return UserMailer.welcome({
      name: 'Donaudampfschifffahrtselektrizitätenhauptbetriebswerkbauunterbeamtengesellschaft',
      email: 'a.very.long.address.that.somebody.does.have@subdomain.of.a.long.example.com',
      locale: this.locale,
    });
  }
}

const ADA = { name: 'Ada Park', email: 'ada@example.com' };
