import { sized } from '../support/long-form';
import { illStores } from './ill-stores';
import { PROMISED_S } from './standstills';

illStores(sized(undefined, PROMISED_S));
