# SPDX-License-Identifier: Apache-2.0
sallyport_fuzz(expect SOURCES cli/expect_fuzz.cc DEPS sallyport_answers)
sallyport_fuzz(http_response SOURCES cli/http_response_fuzz.cc DEPS sallyport_answers)
sallyport_fuzz(party SOURCES cli/party_fuzz.cc DEPS sallyport_answers)
sallyport_fuzz(agent_views SOURCES cli/agent_views_fuzz.cc DEPS sallyport_answers)
