import { pinyin } from 'pinyin-pro';

/** How somebody can be found. */
export interface SearchText {
  /** Names in every form, lower case, to be searched for three letters and more. */
  readonly names: string;
  /** E-mail addresses and numbers, for those who may see them. */
  readonly contacts: string;
  /** Chinese characters by ones, twos and threes, and short beginnings of the Latin forms. */
  readonly tokens: readonly string[];
  /** What display names are sorted by, to be compared byte by byte. */
  readonly nameKey: string;
}

/** What of a person is searched. */
export interface Searchable {
  readonly displayName: string;
  readonly username: string;
  readonly englishName: string | null;
  readonly email: string | null;
  readonly mobile: string | null;
  readonly telephone: string | null;
}

const HAN = /\p{Script=Han}/u;
const SHORT = 2;
/** An index entry of PostgreSQL has room for it, and no two names that people tell apart begin with so much in common. */
const KEY_LENGTH = 200;

/** Pure. The pinyin of a surname is that of the surname (单 shan, 曾 zeng). */
export function searchText(person: Searchable): SearchText {
  const spoken = spokenCharacters(normal(person.displayName));
  const syllables = HAN.test(person.displayName) ? spoken.map(withoutTone) : [];
  const initials = syllables.map((syllable) => [...syllable][0] ?? '').join('');
  const forms = [
    person.displayName,
    person.englishName,
    person.username,
    syllables.join(''),
    syllables.join(' '),
    initials,
  ];
  const names = forms.filter((form): form is string => Boolean(form)).map(normal);
  const contacts = [person.email, person.mobile, person.telephone].filter((c): c is string => Boolean(c)).map(normal);
  const tokens = new Set<string>([...grams(normal(person.displayName), 3)]);
  for (const word of names.flatMap((name) => name.split(/\s+/))) {
    const characters = [...word];
    for (let length = 1; length <= Math.min(SHORT, characters.length); length++) {
      tokens.add(characters.slice(0, length).join(''));
    }
  }
  for (const gram of grams(normal(initials), SHORT)) tokens.add(gram);
  return { names: names.join('\n'), contacts: contacts.join('\n'), tokens: [...tokens], nameKey: nameKey(spoken) };
}

/** A character with how it is read: `li3` for 李; what is not Chinese stands for itself. */
interface SpokenCharacter {
  readonly character: string;
  readonly sound: string;
}

function spokenCharacters(text: string): SpokenCharacter[] {
  const characters = [...text];
  if (!HAN.test(text)) return characters.map((character) => ({ character, sound: character }));
  const sounds = pinyin(text, { toneType: 'num', type: 'array', surname: 'head', v: true });
  return characters.map((character, i) => ({
    character,
    sound: (sounds.length === characters.length && sounds[i]) || character,
  }));
}

function withoutTone({ character, sound }: SpokenCharacter): string {
  return sound === character ? character : sound.replace(/\d$/, '');
}

/**
 * Names as Chinese dictionaries and address books sort them: character by character, by syllable, then tone, then the character
 * itself, so that those with one surname stay together (all 李 before all 里); Latin names stand among them by their letters.
 */
function nameKey(spoken: readonly SpokenCharacter[]): string {
  const key = spoken
    .map(({ character, sound }) => (sound === character ? character : `${sound}${character} `))
    .join('');
  return [...key.trim()].slice(0, KEY_LENGTH).join('');
}

/** What a searched text demands. Pure. */
export interface SearchDemand {
  /** All of these tokens, where the text is too short or too Chinese for trigrams. */
  readonly tokens: readonly string[];
  /** Contained in the names, or where it is allowed in the contacts. */
  readonly text: string;
}

export function searchDemand(text: string): SearchDemand {
  const wanted = normal(text);
  if (HAN.test(wanted)) {
    const characters = [...wanted];
    const size = Math.min(3, characters.length);
    const tokens = characters
      .slice(0, characters.length - size + 1)
      .map((_, i) => characters.slice(i, i + size).join(''));
    return { tokens: tokens.filter((token) => !/\s/.test(token)), text: wanted };
  }
  return { tokens: wanted.length <= SHORT ? [wanted] : [], text: wanted };
}

/** Halves of surrogate pairs, which PostgreSQL cannot hold, go: nobody searches for them. */
const HALVES = /[\uD800-\uDBFF](?![\uDC00-\uDFFF])|(?<![\uD800-\uDBFF])[\uDC00-\uDFFF]/g;

function normal(text: string): string {
  return text
    .normalize('NFKC')
    .toLowerCase()
    .replace(HALVES, '')
    .replace(/[\s\0]+/g, ' ')
    .trim();
}

function* grams(text: string, longest: number): Generator<string> {
  const characters = [...text.replace(/\s/g, '')];
  for (let size = 1; size <= longest; size++) {
    for (let i = 0; i + size <= characters.length; i++) yield characters.slice(i, i + size).join('');
  }
}
