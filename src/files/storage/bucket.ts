import { AwsV4Signer } from 'aws4fetch'
import { checkTransport } from './address.js'

/** Variables of a process. */
export type Environment = Readonly<Record<string, string | undefined>>

/** Where buckets are, and the keys that requests are signed with. */
export interface BucketAccess {
  /** Where all buckets are folders, for other services than AWS. */
  readonly endpoint?: string
  readonly region: string
  /** Without keys requests are not signed, as public buckets allow. */
  readonly keys?: { readonly id: string; readonly secret: string; readonly session?: string }
}

/**
 * What the usual variables say: AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_SESSION_TOKEN, AWS_REGION (or AWS_DEFAULT_REGION;
 * us-east-1 without), AWS_ENDPOINT_URL_S3 or AWS_ENDPOINT_URL.
 *
 * @throws RangeError when one of the two keys is missing or holds what none can hold, or the endpoint is no address that may be used
 */
export function bucketAccess(env: Environment, allowHttp: boolean): BucketAccess {
  const { AWS_ACCESS_KEY_ID: id, AWS_SECRET_ACCESS_KEY: secret, AWS_SESSION_TOKEN: session } = env
  if (Boolean(id) !== Boolean(secret)) {
    const [there, missing] = id ? ['ID', 'AWS_SECRET_ACCESS_KEY'] : ['secret', 'AWS_ACCESS_KEY_ID']
    throw new RangeError(`${missing} must be set with the other key of s3://, got the ${there} alone`)
  }
  for (const [name, value = ''] of Object.entries({
    AWS_ACCESS_KEY_ID: id,
    AWS_SECRET_ACCESS_KEY: secret,
    AWS_SESSION_TOKEN: session,
  })) {
    // Headers cannot hold others, and the error of a header quotes all of it.
    const others = value.replace(/[!-~]/g, '').length
    if (others === 0) continue
    throw new RangeError(
      `${name} must hold printable ASCII characters without spaces, got ${others} of another kind (such as a line end)`,
    )
  }
  const endpoint = env.AWS_ENDPOINT_URL_S3 || env.AWS_ENDPOINT_URL
  return {
    region: env.AWS_REGION || env.AWS_DEFAULT_REGION || 'us-east-1',
    ...(endpoint && { endpoint: checkedEndpoint(endpoint, allowHttp) }),
    ...(id && secret && { keys: { id, secret, ...(session && { session }) } }),
  }
}

function checkedEndpoint(endpoint: string, allowHttp: boolean): string {
  const url = URL.canParse(endpoint) ? new URL(endpoint) : undefined
  if (
    !url ||
    !/^https?:$/.test(url.protocol) ||
    url.username !== '' ||
    url.password !== '' ||
    url.search !== ''
  ) {
    throw new RangeError(
      'AWS_ENDPOINT_URL must be an http(s) address without password and query, got another text',
    )
  }
  checkTransport(url, allowHttp)
  return url.href.replace(/\/+$/, '')
}

/** The address of an object, or of the bucket for an empty key. */
export function bucketUrl({ endpoint, region }: BucketAccess, bucket: string, key: string): URL {
  const path = key.split('/').map(encodeURIComponent).join('/')
  if (endpoint !== undefined) return new URL(`${endpoint}/${bucket}/${path}`)
  // The certificates of AWS do not cover names with further dots.
  return bucket.includes('.')
    ? new URL(`https://s3.${region}.amazonaws.com/${bucket}/${path}`)
    : new URL(`https://${bucket}.s3.${region}.amazonaws.com/${path}`)
}

/** The headers that authorise a request to read; none without keys. */
export async function signedHeaders(
  { keys, region }: BucketAccess,
  url: URL,
): Promise<Readonly<Record<string, string>>> {
  if (!keys) return {}
  const signer = new AwsV4Signer({
    url: url.href,
    accessKeyId: keys.id,
    secretAccessKey: keys.secret,
    ...(keys.session !== undefined && { sessionToken: keys.session }),
    service: 's3',
    region,
  })
  return Object.fromEntries((await signer.sign()).headers)
}

/** What a bucket's refusal means and what to do about it, where that can be told. */
export function refusalAdvice(
  { keys, region }: BucketAccess,
  status: number,
  headers: Pick<Headers, 'get'>,
): string | undefined {
  const home = headers.get('x-amz-bucket-region')
  if (home && home !== region) return `the bucket is in ${home}: set AWS_REGION`
  if (status !== 401 && status !== 403) return undefined
  return keys
    ? 'signed with the keys of AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY; without the right to list, what is missing is refused as well'
    : 'not signed, as AWS_ACCESS_KEY_ID is not set'
}
