"""The HTTP interface of the training service, under `/api/v1`. `create_app` makes it, `serve` runs it.

POST   login {token}                      sets the cookie         POST logout
GET    health                             204, without a token    GET  me
POST   jobs                               a SubmitRequest         POST jobs/batch {jobs: […]}, all or none
GET    jobs?state&group&user&engine&prefix&before&limit
GET    jobs/JOB                           POST jobs/JOB/cancel    POST jobs/JOB/resume
GET    jobs/JOB/result                    GET  jobs/JOB/predictions, jobs/JOB/predictions/SPLIT (JSON Lines)
GET    jobs/JOB/logs/NAME?offset          a Chunk; `metrics` is the journal, `events` the state changes
GET    jobs/JOB/logs/NAME/stream?offset   Chunks as server-sent events; `Last-Event-ID` is an offset
GET    groups                             GET  stores             GET  openapi.json
GET    stores/STORE                       what `vqa inspect` tells, once it was counted
GET    stores/STORE/examples?split&question_type&answer_type&text&offset&limit
GET    stores/STORE/example?question_id   one, or any of a `split`
GET    stores/STORE/picture?image_id&size a PNG or JPEG made anew, with an ETag
POST   ask {job, question, image | store, image_id, choices}     answers, words, attention

Every error is a `application/problem+json` with `title, status, detail, kind, where, fix`.
"""
