/** An address of data on another machine: a folder or an archive by HTTP, or what begins with a prefix in an S3 bucket. */
export type StorageAddress =
  | { readonly kind: 'http'; readonly text: string }
  | { readonly kind: 's3'; readonly bucket: string; readonly prefix: string; readonly text: string }

/** Whether a text is an address, of whatever kind, and not a path. */
export function isAddress(text: string): boolean {
  return /^[a-z][a-z0-9+.-]+:\/\//i.test(text)
}

/** An address without what may be secret in it: name and password before the host, and all that follows a question mark. */
export function shownAddress(text: string): string {
  // A password may hold slashes, which make it no URL; a port is no password.
  return text.replace(/\/\/(?:[^/]*|[^/]*:(?!\d*(?:\/|$)).*)@/s, '//…@').replace(/[?#].*$/s, '?…')
}

/**
 * Reads an address, without a slash at its end.
 *
 * @param allowHttp whether http:// may lead to other machines
 * @throws RangeError when it is none of https://, http:// and s3://, http:// leads to another machine, a bucket has a name that none can
 *   have, or it holds a password or a query: these would be kept in run folders
 */
export function parseAddress(text: string, allowHttp = false): StorageAddress {
  const shown = shownAddress(text)
  const url = URL.canParse(text) ? new URL(text) : undefined
  if (!url || !['https:', 'http:', 's3:'].includes(url.protocol)) {
    throw new RangeError(
      `${shown}: address must begin with https://, http:// or s3://, got ${url ? url.protocol : 'no URL'}`,
    )
  }
  if (url.username !== '' || url.password !== '') {
    const advice = 'AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY are those of s3://'
    throw new RangeError(`${shown}: address must hold no user name or password, got some (${advice})`)
  }
  if (/[?#]/.test(text)) {
    throw new RangeError(
      `${shown}: address must end with its path, got a query or fragment behind it (they may hold keys)`,
    )
  }
  if (url.protocol === 's3:') return bucketAddress(text)
  checkTransport(url, allowHttp)
  return { kind: 'http', text: withoutSlash(url.href) }
}

/**
 * Checks that what comes from an address cannot be read and changed on its way.
 *
 * @throws RangeError for http:// to another machine, unless it is allowed
 */
export function checkTransport(url: URL, allowHttp: boolean): void {
  if (url.protocol === 'https:' || allowHttp || isLoopback(url.hostname)) return
  throw new RangeError(
    `${url.origin}: address must be https://, or http:// on this machine, got http:// ` +
      '(PMOE_ALLOW_HTTP=1 allows it: whoever is on the way can then read and change the data)',
  )
}

function isLoopback(host: string): boolean {
  return /^(localhost|.+\.localhost|127(\.\d+){3}|\[::1\])$/.test(host)
}

function bucketAddress(text: string): StorageAddress {
  const [, bucket = '', prefix = ''] = /^s3:\/\/([^/]*)\/*(.*)$/is.exec(text) ?? []
  if (!/^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$/.test(bucket)) {
    throw new RangeError(
      `${text}: bucket must have 3 to 63 lower-case letters, digits, dots and hyphens, got ${JSON.stringify(bucket)}`,
    )
  }
  const inside = withoutSlash(prefix)
  const wrong = inside === '' ? undefined : inside.split('/').find(name => ['', '.', '..'].includes(name))
  if (wrong !== undefined) {
    throw new RangeError(
      `${text}: names between slashes must not be empty, . or .., got ${JSON.stringify(wrong)} (they would lead elsewhere)`,
    )
  }
  return {
    kind: 's3',
    bucket,
    prefix: inside,
    text: inside === '' ? `s3://${bucket}` : `s3://${bucket}/${inside}`,
  }
}

function withoutSlash(text: string): string {
  return text.replace(/\/+$/, '')
}
