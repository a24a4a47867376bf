/**
 * Every page of the admin socket: the contract between weftd and whoever asks it. The server answers these types, `bin/weft` reads
 * with these shapes, and docs/reference/openapi.json is made of this table (openapi.ts). All pages are asked by GET and change
 * nothing but the capture that runs.
 *
 * Keys of answers that a reader does not know must be ignored: a newer weftd may have them.
 */
import * as z from 'zod';
import { captureQueryShape, captureSummaryShape, PCAP } from './capture.ts';
import { configShape } from './config.ts';
import { dropsQueryShape, dropsShape } from './drops.ts';
import { historyShape } from './history.ts';
import { kubernetesShape } from './kubernetes.ts';
import { peersShape } from './peers.ts';
import { pingQueryShape, pingShape } from './ping.ts';
import { reachShape } from './reach.ts';
import { routeShape, routesQueryShape } from './routes.ts';
import { statusShape } from './status.ts';

const JSON_TYPE = 'application/json';

interface PageEntry {
  /** a line for people */
  title: string;
  query: z.ZodObject;
  contentType: string;
  /** of the JSON object, which has `schemaVersion` besides; undefined: other bytes, sent as they are */
  answer: z.ZodObject | undefined;
}

/** A page that is asked without parameters. */
function plain<Shape extends z.ZodObject>(title: string, answer: Shape) {
  return { title, query: z.object({}), contentType: JSON_TYPE, answer };
}

export const PAGES = {
  '/status': plain('this node at a glance', statusShape),
  '/peers': plain('the nodes this one sends to, and the traffic with each', peersShape),
  '/history': plain('the last two minutes of traffic, a sample a second', historyShape),
  '/routes': {
    title: 'which way a packet to an address takes',
    query: routesQueryShape,
    contentType: JSON_TYPE,
    answer: routeShape,
  },
  '/config': plain('the options and the network config in force, without secrets', configShape),
  '/drops': {
    title: 'packets that were not forwarded, by worker and reason, and headers of some',
    query: dropsQueryShape,
    contentType: JSON_TYPE,
    answer: dropsShape,
  },
  '/capture': {
    title: 'packets of the overlay as pcap, for as long as the client stays; one at a time',
    query: captureQueryShape,
    contentType: PCAP,
    answer: undefined,
  },
  '/capture/stop': plain('ends the capture with what was copied by then', captureSummaryShape),
  '/capture/summary': plain('how the newest capture goes, or went', captureSummaryShape),
  '/ping': {
    title: 'echoes to a peer through the overlay, one after the other',
    query: pingQueryShape,
    contentType: JSON_TYPE,
    answer: pingShape,
  },
  '/reach': plain('who reaches whom', reachShape),
  '/kubernetes': plain(
    "this node's Node object, as the API server of Kubernetes has it now",
    kubernetesShape,
  ),
  '/openapi.json': {
    title: 'these pages as an OpenAPI document',
    query: z.object({}),
    contentType: JSON_TYPE,
    answer: undefined,
  },
} as const satisfies Readonly<Record<string, PageEntry>>;

export type PagePath = keyof typeof PAGES;

/** What a page answers, without `schemaVersion`; undefined where it is no JSON object of ours. */
export type AnswerOf<Path extends PagePath> = (typeof PAGES)[Path]['answer'] extends infer Shape
  ? Shape extends z.ZodType
    ? z.infer<Shape>
    : undefined
  : never;

type RequiredKeys<T> = { [K in keyof T]-?: object extends Pick<T, K> ? never : K }[keyof T];

type Asked<Shape extends z.ZodObject> = Pick<
  z.output<Shape>,
  RequiredKeys<z.input<Shape>> & keyof z.output<Shape>
> & { [K in keyof z.output<Shape>]?: z.output<Shape>[K] | undefined };

/** What a page may be asked; what is undefined is not asked. */
export type QueryOf<Path extends PagePath> = Path extends PagePath
  ? Asked<(typeof PAGES)[Path]['query']>
  : never;

/** Path and query, as a client asks for them. */
export function pageUrl<Path extends PagePath>(path: Path, query: QueryOf<Path>): string {
  const asked = new URLSearchParams();
  for (const [key, value] of Object.entries(query))
    if (value !== undefined) asked.set(key, String(value));
  return `${path}?${asked}`;
}
