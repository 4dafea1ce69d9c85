"""One record of each kind as the vendors document it, with every field that they name."""

from __future__ import annotations

from typing import Any, NamedTuple


class Documented(NamedTuple):
    """A record of a resource, and the options of an account that its mapper would be told."""

    resource: str
    record: dict[str, Any]
    options: frozenset[str] = frozenset()


ZENTAIL_LINE = {
    "lineItemId": "882",
    "status": "PARTIALLY_SHIPPED",
    "requestedSku": "CH-TEAPOT-9",
    "SKU": None,
    "quantity": 4,
    "cancelQuantity": 1,
    "shippedQuantity": 1,
}
ZENTAIL = {
    "orderNumber": 10000412,
    "channelOrderId": "113-5582",
    "status": "PARTIALLY_SHIPPED",
    "orderTs": "2024-10-21T09:02:11.000Z",
    "lastUpdatedTs": "2024-10-22T14:31:07.482Z",
    "shippingAddress": {"name": "Ana Ruiz", "city": "Austin", "country": "US"},
    "routing_info": {"warehouse": 4},
    "products": [
        {**ZENTAIL_LINE, "lineItemId": "881", "SKU": "MUG-BLU", "requestedSku": "MUG-BLU"},
        ZENTAIL_LINE,
    ],
    "packages": [
        {
            "packageId": 70551,
            "fulfillmentPackageId": "ShipCo #55-1",
            "warehouseId": 4,
            "carrier": "UPS",
            "service_level": "Ground",
            "tracking": "1Z999AA10123456784",
            "shippedTs": "2024-10-22T13:55:00.000Z",
            "products": [{"SKU": "MUG-BLU", "quantity": 3}, {"SKU": "CH-TEAPOT-9", "quantity": 1}],
        },
        {"fulfillmentPackageId": "ShipCo #55-2", "serviceLevel": "Priority", "products": []},
    ],
}
ZENTAIL_LABEL = {
    **ZENTAIL,
    "products": [{**ZENTAIL_LINE, "SKU": "POT", "cancelQuantity": 0, "shippedQuantity": 0}],
    "packages": [{"tracking": "1Z999AA10123456785", "products": [{"SKU": "POT", "quantity": 1}]}],
}
SHOPLAZZA_LINE = {
    "id": "7037bd0b-cb6b-453a-a936-b349d0c8bf5d",
    "product_id": "a1a88be0-a1d4-47e4-a2f2-ba6e131cf447",
    "variant_id": "88e68830-4ef5-4125-bf7d-aef8047176b2",
    "variant_title": "S-blue-T",
    "product_title": "shirt",
    "product_handle": "shirt",
    "quantity": 3,
    "note": "",
    "fulfillment_status": "partially_returned",
    "sku": "T-M-S-blue-T-A001004",
    "weight_unit": "kg",
    "vendor": "shoplazza",
    "product_url": "/products/shirt",
    "compare_at_price": "97.00",
    "image": "//cdn.example.com/image.jpeg",
    "price": "81.00",
    "total": "162.00",
    "weight": "1.10",
    "properties": [{"name": "size", "value": "S"}],
    "custom_properties": {"engraving": "Ana"},
    "refund_quantity": 0,
    "refund_total": "81.00",
    "taxable": True,
    "requires_shipping": True,
    "shipping_quantity": 2,
}
SHOPLAZZA = {
    "id": "49a731b0-1b7e-47c3-94d9-6d688f36201e",
    "order_id": "633130-00000012",
    "status": "shipped",
    "tracking_company": "燕文物流",
    "tracking_number": "11111111111",
    "tracking_company_code": "DJ-11343",
    "tracking_url": "https://tracking.example.com",
    "tracking_items": [{"tracking_number": "2222", "tracking_url": "https://t.example/2222"}],
    "created_at": "2024-04-22T06:58:01Z",
    "updated_at": "2024-04-22T07:00:57Z",
    "line_items": [
        SHOPLAZZA_LINE,
        {name: value for name, value in SHOPLAZZA_LINE.items() if name != "shipping_quantity"},
    ],
}
DIGITAL_RIVER = {
    "id": "ful_c80eed02-6664-4570-9f96-b0c91bf56f1e",
    "createdTime": "2023-10-17T19:11:19Z",
    "orderId": "291973150336",
    "shipmentId": "100002369153",
    "currency": "USD",
    "partnerId": "partner123",
    "items": [
        {
            "itemId": "225220780336",
            "skuId": "mug-blue.v2",
            "shipmentItemId": "8760948870",
            "quantity": 2,
            "cancelQuantity": 1,
            "distributorCost": 4.5,
            "shippingCost": "1.00",
            "subfulfillerId": "s1",
        }
    ],
    "trackingCompany": "Fedex",
    "trackingNumber": "Z10100002632653",
    "trackingUrl": "http://www.fedex.com/Tracking?tracknumbers=Z10100002632653",
    "metadata": {"wave": 7, "gift": True},
    "liveMode": False,
    "orderDetails": {"id": "291973150336", "state": "fulfilled"},
}
JAVA_TIME = {
    "offset": {"totalSeconds": 0},
    "nano": 5000,
    "year": 2018,
    "monthValue": 4,
    "dayOfMonth": 25,
    "hour": 20,
    "minute": 3,
    "second": 1,
}
TRADECLOUD_LINE = {
    "purchaseOrderNumber": "PO-4471",
    "purchaseOrderLinePosition": "0010",
    "deliverySchedulePosition": "1",
    "item": {
        "buyerItemNumber": "B-77",
        "buyerItemName": "Rohr ø60-45",
        "supplierItemNumber": "R6045",
        "purchaseUnitOfMeasureIso": "PCE",
    },
    "supplierLine": {
        "despatchAdviceNumber": "DA-9001",
        "despatchAdviceLinePosition": "01",
        "despatchQuantity": 12.5,
        "backorderQuantity": 7.5,
    },
    "meta": {"lastUpdatedAt": "2025-04-23T10:01:53.812Z"},
}
TRADECLOUD_LOOSE = {
    "purchaseOrderNumber": "PO-4472",
    "purchaseOrderLinePosition": "0020",
    "item": {"supplierItemNumber": "B-78"},
    "supplierLine": {"despatchQuantity": 3},
    "meta": {"lastUpdatedAt": "2025-04-22T08:00:00.000Z"},
}
TRADECLOUD_SHIPMENT = {
    "id": "1f61e695-7545-5670-9384-58e8b1f263e6-SN2024077",
    "identifiers": {
        "billOfLadingNumber": None,
        "carrierShipmentNumber": "CSN-88121",
        "trackingNumber": "3SABCD7654321",
    },
    "transportMode": "Road transport",
    "supplierShipment": {"companyId": "1f61e695", "shipmentNumber": "SN2024077", "documents": []},
    "buyerShipment": {"companyId": "f56aa4ce", "supplierAccountNumber": "S-1009"},
    "loadCarriers": [
        {
            "packageSSCC": "(00)387123450000000017",
            "packageType": "CT",
            "lines": [TRADECLOUD_LINE],
        },
        {
            "containerNumber": "BICU1234565",
            "containerSizeAndType": "45G1",
            "lines": [TRADECLOUD_LOOSE],
        },
    ],
    "lines": [TRADECLOUD_LOOSE],
    "locations": {
        "departure": {"etdDate": "2025-04-23", "atdDate": "2025-04-23"},
        "destinations": [
            {
                "location": {"locationType": "FinalDestination", "id": "8712345000004"},
                "etaStartDate": "2025-04-25",
                "ataDate": None,
            }
        ],
    },
    "status": {"processStatus": "Issued"},
    "processStatus": "Issued",
    "processStatusReason": None,
    "meta": {
        "lastUpdatedAt": "2025-04-23T10:01:53.812Z",
        "despatchAdviceErpIssueDateTime": "2025-04-23T11:58:00",
    },
}
TRADECLOUD_ORDER = {
    "id": "f56aa4ce-PO-4471",
    "buyerOrder": {"supplierAccountNumber": "S-1009", "purchaseOrderNumber": "PO-4471"},
    "supplierOrder": {"companyId": "1f61e695"},
    "lines": [
        {
            "id": "line-1",
            "buyerLine": {"position": "0010", "item": {"number": "B-77", "name": "Rohr ø60-45"}},
            "deliverySchedule": [
                {
                    "position": "1",
                    "date": "2025-05-01",
                    "quantity": 5,
                    "status": "Open",
                    "etd": "2025-05-01",
                    "eta": "2025-05-03",
                }
            ],
            "deliveryScheduleIncludingRequests": [{"position": "1", "quantity": 6}],
            "status": {
                "processStatus": "InProgress",
                "inProgressStatus": "OpenBuyerReopenRequest",
                "logisticsStatus": "Open",
            },
            "prices": {"grossPrice": {"priceInTransactionCurrency": {"value": 1.5}}},
            "lastUpdatedAt": "2025-04-23T10:01:53.812Z",
        }
    ],
    "status": {"processStatus": "InProgress", "logisticsStatus": "Open"},
    "version": 3,
    "lastUpdatedAt": "2025-04-23T10:01:53.812Z",
}
TRADECLOUD_PARTS = {
    **TRADECLOUD_ORDER,
    "lines": [
        {
            "buyerLine": {"position": "0010", "item": {"number": "B-77"}},
            "deliverySchedule": [
                {"quantity": 5, "status": "Shipped"},
                {"quantity": 1, "status": "Open"},
            ],
            "status": {"logisticsStatus": "Open"},
        },
    ],
}
TRADECLOUD_SENT = {
    **TRADECLOUD_ORDER,
    "lines": [
        {"id": "1", "status": {"processStatus": "Confirmed", "logisticsStatus": "Shipped"}},
        {"id": "2", "status": {"processStatus": "Cancelled", "logisticsStatus": "Shipped"}},
    ],
}
TRADECLOUD_OLD = {**TRADECLOUD_SHIPMENT, "status": {}}
PANORA = {
    "carrier": "DHL",
    "tracking_urls": ["https://tracing-url.sf.com"],
    "tracking_numbers": ["track_1029_191919"],
    "items": {},
    "order_id": "801f9ede-c698-4e66-a7fc-48d19eebaa4f",
    "field_mappings": {"fav_dish": "broccoli", "fav_color": "red"},
    "id": "801f9ede-c698-4e66-a7fc-48d19eebaa4f",
    "remote_id": "id_1",
    "remote_data": {"fav_dish": "broccoli", "fav_color": "red"},
    "created_at": "2024-10-01T12:00:00Z",
    "modified_at": "2024-10-01T12:00:00Z",
}
PANORA_ITEM = {
    "remote_id": "91",
    "sku": "MUG-1",
    "title": "Mug",
    "quantity": 2,
    "product_id": "p",
    "fulfillment_status": "x",
}
PROVIDER = {
    "id": 4498122211,
    "status": "success",
    "line_items": [{"id": 91, "sku": "MUG-1", "title": "Mug", "quantity": 2}],
}

CHANGED = frozenset({"role:buyer", "changed-after:2025-04-20T00:00:00Z"})
REMOTE_DATA = frozenset({"remote_data"})
RECORDS: dict[str, list[Documented]] = {
    "zentail": [Documented("orders", ZENTAIL), Documented("orders", ZENTAIL_LABEL)],
    "shoplazza": [Documented("fulfillments", SHOPLAZZA)],
    "digital_river": [
        Documented("fulfillments", DIGITAL_RIVER),
        Documented(
            "fulfillments", {**DIGITAL_RIVER, "trackingNumber": "", "createdTime": JAVA_TIME}
        ),
    ],
    "tradecloud": [
        Documented("shipments", TRADECLOUD_SHIPMENT, CHANGED),
        Documented("shipments", TRADECLOUD_OLD, CHANGED),
        Documented("orders", TRADECLOUD_ORDER, CHANGED),
        Documented("orders", TRADECLOUD_PARTS),
        Documented("orders", TRADECLOUD_SENT),
    ],
    "panora": [
        Documented("fulfillments", PANORA, REMOTE_DATA),
        Documented("fulfillments", {**PANORA, "items": [PANORA_ITEM], "remote_data": {}}),
        Documented("fulfillments", {**PANORA, "remote_data": PROVIDER}, REMOTE_DATA),
    ],
}
"""What each system documents; a system that is not here is known by its simulator alone."""
