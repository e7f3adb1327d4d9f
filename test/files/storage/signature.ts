import { createHash, createHmac } from 'node:crypto'
import type { IncomingMessage } from 'node:http'

/**
 * Whether a request is signed with a secret, by Signature Version 4 of AWS for S3.
 *
 * Reference: AWS, "Authenticating Requests: Using the Authorization Header".
 */
export function isSignedWith({ method, url = '', headers }: IncomingMessage, secret: string): boolean {
  const pattern =
    /^AWS4-HMAC-SHA256 Credential=[^/]+\/(\d{8})\/([^/]+)\/s3\/aws4_request, SignedHeaders=([^,]+), Signature=(\w+)$/
  const [, date = '', region = '', signed = '', signature] = pattern.exec(headers.authorization ?? '') ?? []
  const [path = '', query = ''] = url.split('?')
  const encode = (text: string) =>
    encodeURIComponent(text).replace(/[!'()*]/g, sign => `%${sign.charCodeAt(0).toString(16).toUpperCase()}`)
  const pairs = [...new URLSearchParams(query)].map(pair => pair.map(encode).join('='))
  const canonical = [
    method,
    path
      .split('/')
      .map(part => encode(decodeURIComponent(part)))
      .join('/'),
    pairs.sort().join('&'),
    ...signed.split(';').map(name => `${name}:${headers[name]}`),
    '',
    signed,
    headers['x-amz-content-sha256'],
  ].join('\n')
  const scope = `${date}/${region}/s3/aws4_request`
  const hash = createHash('sha256').update(canonical).digest('hex')
  const text = ['AWS4-HMAC-SHA256', headers['x-amz-date'], scope, hash].join('\n')
  const keyed = (key: string | Buffer, value: string) => createHmac('sha256', key).update(value).digest()
  const key = [date, region, 's3', 'aws4_request'].reduce<string | Buffer>(keyed, `AWS4${secret}`)
  return signature !== undefined && keyed(key, text).toString('hex') === signature
}
