import type { Answer } from './requests.js'

/** What a server says of an object, by which a change of it is noticed. */
export interface ObjectVersion {
  /** In bytes. */
  readonly length: number
  readonly etag?: string
  /** The date of the last change, where there is no ETag. */
  readonly modified?: string
  /** Whether the server sends parts of it. */
  readonly inRanges: boolean
}

/**
 * What an answer says of its object.
 *
 * @param shown address of the object, for errors
 * @throws RangeError when it does not say how long the object is
 */
export function versionOf(
  { status, headers }: Pick<Answer, 'status' | 'headers'>,
  shown: string,
): ObjectVersion {
  const range = /^bytes (?:\d+-\d+|\*)\/(\d+)$/.exec(headers.get('content-range') ?? '')
  const length = status === 200 ? headers.get('content-length') : range?.[1]
  if (!length || !/^\d+$/.test(length)) {
    const said = headers.get(status === 200 ? 'content-length' : 'content-range')
    throw new RangeError(
      `${shown}: server must state the length of the object, got ${said ?? 'nothing'} (status ${status})`,
    )
  }
  const etag = headers.get('etag')
  const modified = headers.get('last-modified')
  return {
    length: Number(length),
    ...(etag ? { etag } : modified && { modified }),
    inRanges: status !== 200,
  }
}

/**
 * Checks that an object is the one that was opened.
 *
 * @throws RangeError naming what differs
 */
export function checkSameVersion(opened: ObjectVersion, now: ObjectVersion, shown: string): void {
  for (const [what, was, is] of [
    ['length', opened.length, now.length],
    ['ETag', opened.etag, now.etag],
    ['date of the last change', opened.modified, now.modified],
  ] as const) {
    // Some servers leave their marks out of answers with parts.
    if (was === is || was === undefined || is === undefined) continue
    throw new RangeError(
      `${shown}: object must stay as it was when it was opened, got another ${what}: ${is}, not ${was}`,
    )
  }
}
