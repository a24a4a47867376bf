/** Shapes as JSON Schema, with the promise of all answers: keys that are not listed may be there and must be ignored. */
import * as z from 'zod';
import { SCHEMA_VERSION } from './version.ts';

export type JsonSchema = z.core.JSONSchema.BaseSchema;

/** Of a whole answer: it has `schemaVersion` besides, whoever made it. */
export function answerSchema(title: string, shape: z.ZodType): JsonSchema {
  const { $schema, type, properties, required = [], ...rest } = openSchema(shape);
  return {
    ...($schema !== undefined && { $schema }),
    title,
    ...(type !== undefined && { type }),
    properties: { ...properties, schemaVersion: { const: SCHEMA_VERSION } },
    required: [...new Set([...required, 'schemaVersion'])],
    ...rest,
  };
}

function openSchema(shape: z.ZodType): JsonSchema {
  return z.toJSONSchema(shape, {
    unrepresentable: 'any',
    override: ({ jsonSchema }) => {
      if (jsonSchema.additionalProperties === false) jsonSchema.additionalProperties = {};
      // Bounds that zod gives to every whole number: they are JavaScript's, not the value's.
      if (jsonSchema.maximum === Number.MAX_SAFE_INTEGER) delete jsonSchema.maximum;
      if (jsonSchema.minimum === Number.MIN_SAFE_INTEGER) delete jsonSchema.minimum;
    },
  });
}

/** Of each parameter of a query, by its name: after defaults, numbers as numbers. */
export function parameterSchemas(query: z.ZodObject): Readonly<Record<string, JsonSchema>> {
  const { properties = {} } = z.toJSONSchema(query);
  return properties as Readonly<Record<string, JsonSchema>>;
}
