/** Any enum of the contract. */
type Enum = Readonly<Record<string, string | number>>;

/** The names of an enum's values in small letters, such as `"read_write"`. */
export type Word<E> = Exclude<Lowercase<keyof E & string>, "unspecified">;

/** A value of an enum, or its name. */
export type Choice<E extends Enum> = E[keyof E] | Word<E>;

/**
 * The value that a word names; a value is itself.
 *
 * @throws TypeError listing the words, when it names none.
 */
export function valueOf<E extends Enum>(enumeration: E, choice: Choice<E>): E[keyof E] {
  if (typeof choice === "number") return choice;
  const value = enumeration[choice.toUpperCase()];
  if (typeof value === "number") return value as E[keyof E];
  const words = Object.keys(enumeration).filter((name) => !/^\d|^UNSPECIFIED$/.test(name));
  throw new TypeError(`"${choice}" is none of ${words.join(", ").toLowerCase()}`);
}
