import type { StorageAddress } from './address.js'
import { type BucketAccess, bucketUrl, refusalAdvice, signedHeaders } from './bucket.js'
import type { ObjectPlace, Requests } from './requests.js'

type BucketAddress = Extract<StorageAddress, { readonly kind: 's3' }>

/**
 * What a folder of a bucket holds, sorted; names of folders end in `/`.
 *
 * Reference: ListObjectsV2 of the S3 API.
 *
 * @param folder relative to the address; an empty path is the address itself
 * @throws StorageError when listing is refused; Error naming the folder when nothing begins with its name, or the service gives a page again
 */
export async function listBucket(
  address: BucketAddress,
  folder: string,
  access: BucketAccess,
  requests: Requests,
): Promise<string[]> {
  const inside = [address.prefix, folder].filter(part => part !== '').join('/')
  const prefix = inside === '' ? '' : `${inside}/`
  const shown = `s3://${address.bucket}/${prefix}`
  const names: string[] = []
  let token: string | undefined
  do {
    const url = bucketUrl(access, address.bucket, '')
    const query = { 'list-type': '2', 'encoding-type': 'url', delimiter: '/', prefix }
    for (const [key, value] of Object.entries(query)) url.searchParams.set(key, value)
    if (token !== undefined) url.searchParams.set('continuation-token', token)
    const place: ObjectPlace = {
      url,
      shown,
      authorise: asked => signedHeaders(access, asked),
      advise: (status, headers) => refusalAdvice(access, status, headers),
    }
    const page = await requests.persist(place, async () => textOf(await requests.ask(place, {})))
    // Some services do not encode keys, although they are asked to.
    const isEncoded = elements(page, 'EncodingType')[0] === 'url'
    const keys = [...elements(page, 'Key'), ...elements(page, 'Prefix')].map(isEncoded ? decoded : unescaped)
    names.push(...keys.filter(key => key.startsWith(prefix)).map(key => key.slice(prefix.length)))
    const next = elements(page, 'NextContinuationToken').map(unescaped)[0]
    if (next !== undefined && next === token) {
      throw new Error(`${shown}: pages of the list must follow each other, got the same one twice`)
    }
    token = next
  } while (token !== undefined)
  const entries = [...new Set(names)].filter(name => name !== '').sort()
  if (entries.length === 0) throw new Error(`${shown}: folder must be readable, got nothing there`)
  return entries
}

async function textOf({ chunks }: { chunks(): AsyncIterable<Uint8Array> }): Promise<string> {
  const parts: Uint8Array[] = []
  for await (const chunk of chunks()) parts.push(chunk)
  return Buffer.concat(parts).toString()
}

/** The texts of the elements of a name. */
function elements(xml: string, name: string): string[] {
  return [...xml.matchAll(new RegExp(`<${name}>([^<]*)</${name}>`, 'g'))].map(([, text]) => text as string)
}

function decoded(key: string): string {
  return decodeURIComponent(key.replaceAll('+', ' '))
}

function unescaped(text: string): string {
  return text
    .replaceAll('&quot;', '"')
    .replaceAll('&lt;', '<')
    .replaceAll('&gt;', '>')
    .replaceAll('&amp;', '&')
}
